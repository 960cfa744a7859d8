"""The certified promise while it is served: the tests, what they are fed, and who keeps them."""
