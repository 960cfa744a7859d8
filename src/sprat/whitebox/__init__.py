"""The white box: from weights to next-token scores, and from those to text, alone or several models together."""

from .custom_generate import generate_with
from .onnx_export import export as export_onnx

__all__ = ["export_onnx", "generate_with"]
