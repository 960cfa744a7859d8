"""Local models by path or name: whatever kind of weights is there, as a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import CannotDo
from ..whitebox.decoder import Leaf
from .tiny import tiny


def local(which: str, **options: Any) -> Leaf:
    """A local model: a transformers folder or hub id, an exported ONNX folder, or one of the aquarium (tiny:NAME).

    `options` are those of its kind: transformers, onnx or tiny. Raises BadInput where there is none, and MissingExtra
    where its library is not installed.
    """
    if which.startswith("tiny:") or which.endswith(".safetensors"):
        return tiny(which.removeprefix("tiny:"), **options)
    if any(Path(which).glob("*.onnx")):
        from .onnx import onnx

        return onnx(which, **options)
    from .seq2seq import is_seq2seq

    if is_seq2seq(which):
        raise CannotDo(f"'{which}' is an encoder-decoder, which can't share its tokens with others.",
                       hint="Take sprat.endpoints.seq2seq(...): it answers, and scores given texts.")  # fmt: skip
    from .transformers import transformers

    return transformers(which, **options)
