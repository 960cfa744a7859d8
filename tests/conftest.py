"""How hard the property tests try: 50 examples each; `--hypothesis-profile thorough` for 1,000."""

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")
