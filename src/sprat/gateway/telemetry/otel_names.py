"""Our fields by the names of OpenTelemetry's semantic conventions: the one place where they are written.

As of opentelemetry-semantic-conventions 0.66b2 (schema 1.44.0). The GenAI names are still "Development" there, and go
on in their own repository (open-telemetry/semantic-conventions-genai); a test holds them to the installed package.
"""

from __future__ import annotations

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"

GEN_AI = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "asked": "gen_ai.request.model",
    "model": "gen_ai.response.model",
    "id": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "first_byte": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "thread": "gen_ai.conversation.id",
    "stream": "gen_ai.request.stream",
    "messages": "gen_ai.input.messages",
    "reply": "gen_ai.output.messages",
    "tools": "gen_ai.tool.definitions",
    # options of a request
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "stop": "gen_ai.request.stop_sequences",
    "n": "gen_ai.request.choice.count",
}
OPTIONS = (
    "temperature top_p top_k seed max_tokens max_completion_tokens frequency_penalty presence_penalty stop n".split()  # noqa: SIM905
)
GENERAL = {
    "method": "http.request.method",
    "route": "http.route",
    "path": "url.path",
    "status": "http.response.status_code",
    "error": "error.type",
    "host": "server.address",
    "port": "server.port",
}
# What the conventions have no name for.
OWN = {
    "cost": "sprat.cost",  # dollars of the whole tree below; missing where unknown
    "because": "sprat.because",
    "by": "sprat.by",
    "cancelled": "sprat.cancelled",
    "request": "sprat.id",
    "dialect": "sprat.dialect",
    "key": "sprat.key",  # a virtual key's id, which opens nothing
    "way": "sprat.way",
    "cache": "sprat.cache",
    "placed": "sprat.placed",  # true where start and end follow from the order of asks alone
}
PROVIDERS = {  # by the end of an upstream's host name
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "openai.azure.com": "azure.ai.openai",
    "mistral.ai": "mistral_ai",
    "groq.com": "groq",
    "deepseek.com": "deepseek",
    "cohere.com": "cohere",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
    "googleapis.com": "gcp.gemini",
}


def provider_of(host: str, use: str) -> str:
    """The provider's name: by its host where that is known, else the protocol that it speaks, or our own."""
    known = next((name for end, name in PROVIDERS.items() if host == end or host.endswith(f".{end}")), "")
    return known or (use if host else "sprat")
