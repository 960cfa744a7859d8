"""Where answers come from: the only place with I/O. What is heavy is imported at the first call."""

from .anthropic import Anthropic, anthropic
from .openai import OpenAI, openai
from .recorded import Recorded, recorded
from .tiny import Tiny, tiny
from .toy import Toy, toy

__all__ = [
    "Anthropic",
    "OpenAI",
    "Recorded",
    "Tiny",
    "Toy",
    "anthropic",
    "openai",
    "recorded",
    "tiny",
    "toy",
]
