"""Weights from a safetensors file into float32 matrices, with numpy alone.

The file is a Llama's, named as transformers names it, with a few numbers of its shape in the header's metadata.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sprat.errors import BadInput

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layer:
    """One block's matrices as (in, out); the norms' weights and the attention's scale are multiplied in."""

    qkv: Floats
    out: Floats
    gate_up: Floats
    down: Floats


@dataclass(frozen=True, eq=False)
class Weights:
    """A model's matrices and shape; `positions` is the longest text it reads, `fingerprint` the file's CRC-32.

    `norm` (width,) are the last norm's weights, which are multiplied into `unembed`.
    """

    layers: tuple[Layer, ...]
    embed: Floats
    unembed: Floats
    norm: Floats
    heads: int
    positions: int
    theta: float
    epsilon: float
    parameters: int
    fingerprint: int


def read_weights(path: Path) -> Weights:
    """The weights of a .safetensors file; BadInput where it is missing, damaged or another kind of model."""
    try:
        blob = path.read_bytes()
        weights, about = read_safetensors(blob)
        embed = weights["model.embed_tokens.weight"]
        heads = int(about["heads"])
        layers = tuple(_layer(weights, index, embed.shape[1] // heads) for index in range(int(about["layers"])))
        return Weights(
            layers=layers,
            embed=embed,
            unembed=np.ascontiguousarray((embed * weights["model.norm.weight"]).T),
            norm=weights["model.norm.weight"],
            heads=heads,
            positions=int(about["positions"]),
            theta=float(about["rope_theta"]),
            epsilon=float(about["norm_epsilon"]),
            parameters=sum(weight.size for weight in weights.values()),
            fingerprint=zlib.crc32(blob),
        )
    except KeyError as error:
        raise BadInput(f"{path} is not a tiny model: it lacks {error}.", hint=_MAKE) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is not a tiny model: {error}.", hint=_MAKE) from error


_MAKE = "recipes/aquarium/train.py writes such files."


def read_safetensors(blob: bytes) -> tuple[dict[str, Floats], dict[str, str]]:
    """The tensors of a safetensors file as float32, and its metadata; ValueError or KeyError where it is not one."""
    start = 8 + int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or start > len(blob):
        raise ValueError("its header is cut off")
    header = json.loads(blob[8:start])
    about = header.pop("__metadata__", {})
    return {name: _tensor(blob, start, entry) for name, entry in header.items()}, about


def _tensor(blob: bytes, start: int, entry: dict[str, Any]) -> Floats:
    first, last = entry["data_offsets"]
    raw = blob[start + first : start + last]
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
    kind = {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]
    return np.frombuffer(raw, kind).astype(np.float32).reshape(entry["shape"])


def _layer(weights: dict[str, Floats], index: int, head: int) -> Layer:
    def joined(norm: str | None, *names: str) -> Floats:
        matrix = np.concatenate([weights[f"model.layers.{index}.{name}_proj.weight"] for name in names])
        return np.ascontiguousarray((matrix * (weights[f"model.layers.{index}.{norm}.weight"] if norm else 1)).T)

    qkv = joined("input_layernorm", "self_attn.q", "self_attn.k", "self_attn.v")
    qkv[:, : qkv.shape[1] // 3] *= head**-0.5
    gate_up = joined("post_attention_layernorm", "mlp.gate", "mlp.up")
    return Layer(qkv, joined(None, "self_attn.o"), gate_up, joined(None, "mlp.down"))
