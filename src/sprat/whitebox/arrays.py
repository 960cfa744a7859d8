"""The little array arithmetic that decoding needs, on NumPy arrays and torch tensors alike, wherever these are.

Torch is never imported here: a tensor brings its own methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def is_torch(x: Any) -> bool:
    """Whether this is a torch tensor."""
    return type(x).__module__.partition(".")[0] == "torch"


def host(x: Any) -> np.ndarray[Any, Any]:
    """The array as NumPy has it: a view where it is in main memory already; bfloat16 becomes float32."""
    if not is_torch(x):
        return np.asarray(x)
    return (x.float() if x.is_floating_point() else x).cpu().numpy()


def as_floats(x: Any) -> Any:
    """The array in float32 (a lower precision is widened, float64 stays)."""
    if is_torch(x):
        return x if x.element_size() >= 4 else x.float()
    return x if x.dtype.itemsize >= 4 else x.astype(np.float32)


def like(values: Any, x: Any) -> Any:
    """NumPy values or a list as an array of the kind and on the device of `x`."""
    if not is_torch(x):
        return np.asarray(values)
    import torch

    return torch.as_tensor(np.asarray(values), device=x.device)


def exp(x: Any) -> Any:
    """e to the x."""
    return x.exp() if is_torch(x) else np.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm; of 0 it is minus infinity, without a warning."""
    if is_torch(x):
        return x.log()
    with np.errstate(divide="ignore"):
        return np.log(x)


def largest(x: Any) -> Any:
    """The maximum along the last axis, which is kept."""
    return x.amax(-1, True) if is_torch(x) else x.max(axis=-1, keepdims=True)


def log_softmax(x: Any) -> Any:
    """Natural log-probabilities along the last axis."""
    if is_torch(x):
        return x.log_softmax(-1)
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x: Any) -> Any:
    """Probabilities along the last axis."""
    if is_torch(x):
        return x.softmax(-1)
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def where(mask: Any, x: Any, other: float) -> Any:
    """x where the mask holds, elsewhere a number."""
    return x.masked_fill(~mask, other) if is_torch(x) else np.where(mask, x, x.dtype.type(other))


def take(x: Any, ids: Any) -> Any:
    """The entries of (..., n) at one id each, (...)."""
    if is_torch(x):
        return x.gather(-1, like(ids, x)[..., None])[..., 0]
    return np.take_along_axis(x, np.asarray(ids)[..., None], axis=-1)[..., 0]


def join(parts: list[Any]) -> Any:
    """Arrays (batch, n_i, vocabulary) one after another along the middle axis."""
    if len(parts) == 1:
        return parts[0]
    if is_torch(parts[0]):
        import torch

        return torch.cat(parts, 1)
    return np.concatenate(parts, axis=1)
