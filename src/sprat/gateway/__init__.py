"""The gateway: a way of working in the path of the requests, behind OpenAI's and Anthropic's protocols."""
