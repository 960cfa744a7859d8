"""Where answers come from: the only place with I/O. What is heavy is imported at the first call."""

from .anthropic import Anthropic, anthropic
from .local import local
from .onnx import Onnx, onnx
from .openai import OpenAI, openai
from .recorded import Recorded, recorded
from .seq2seq import Seq2Seq, seq2seq
from .tiny import Tiny, tiny
from .toy import Toy, toy
from .transformers import Transformers, transformers

__all__ = [
    "Anthropic",
    "Onnx",
    "OpenAI",
    "Recorded",
    "Seq2Seq",
    "Tiny",
    "Toy",
    "Transformers",
    "anthropic",
    "local",
    "onnx",
    "openai",
    "recorded",
    "seq2seq",
    "tiny",
    "toy",
    "transformers",
]
