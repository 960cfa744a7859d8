"""The embedded encoder: a sum of int8 wordpiece vectors, a linear map and one hidden layer; numpy alone.

Static distillation as in Model2Vec, trained by recipes/encoder/distil.py from all-MiniLM-L6-v2 (Sentence-BERT, arXiv
1908.10084); weights/README.md says on what. Checked by benchmarks/encoder.py.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sprat.encoders.protocol import Rows, check_texts, unit
from sprat.encoders.wordpiece import WordPieces
from sprat.errors import BadInput

EMBEDDED = Path(__file__).parent / "weights" / "static.npz"
# Two rows at a time stay below the size at which linear algebra libraries start threads: on a busy machine those
# threads wait for each other (measured: 14 times slower), and two rows are also quicker than sixteen on one core.
_BLOCK = 2
_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class _Weights:
    """The file, unpacked: table (features, width) holds whole numbers, so that its sums are exact in any order.

    `pairs` gives the table's row of two pieces a and b that follow each other, under a * `size` + b: one number is
    found sooner than two, which matters where little of this is in the processor's cache.
    """

    digest: str
    tokens: WordPieces
    size: int
    pairs: dict[int, int]
    table: NDArray[np.int8]
    scale: Rows
    linear: Rows
    inner: Rows
    inner_bias: Rows
    outer: Rows
    outer_bias: Rows


@lru_cache(maxsize=4)
def _read(path: Path) -> _Weights:
    try:
        raw = path.read_bytes()
        with np.load(BytesIO(raw), allow_pickle=False) as found:
            arrays: dict[str, Any] = {k: found[k] for k in found.files}
        about = json.loads(arrays["about"].tobytes())
        pieces = arrays["pieces"].tobytes().decode().split("\n")

        def whole(name: str) -> Rows:
            return arrays[name].astype(np.float32) * arrays[f"{name}_scale"]

        tokens = WordPieces(pieces, int(about["buckets"]))
        size = len(tokens.vocabulary) + tokens.buckets
        pairs = np.cumsum(arrays["pairs"]).tolist()
        return _Weights(
            digest=hashlib.sha256(raw).hexdigest()[:12],
            tokens=tokens,
            size=size,
            pairs={pair: size + i for i, pair in enumerate(pairs)},
            table=arrays["table"],
            scale=arrays["table_scale"],
            linear=whole("linear"),
            inner=whole("inner"),
            inner_bias=arrays["inner_bias"],
            outer=whole("outer"),
            outer_bias=arrays["outer_bias"],
        )
    except FileNotFoundError as missing:
        raise BadInput(
            f"There are no encoder weights at {path}.", hint="Reinstall sprat, or name another file."
        ) from missing
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as broken:
        raise BadInput(f"{path} is not a file of static encoder weights.", hint="Make one with the recipe.") from broken


@dataclass(frozen=True)
class StaticEncoder:
    """Encodes with the embedded weights, or with others made by the recipe; BadInput where the file is not such."""

    weights: Path = field(default=EMBEDDED)

    @property
    def name(self) -> str:
        """`static-` and the first twelve hexadecimal digits of the weights' SHA-256."""
        return f"static-{_read(self.weights).digest}"

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(_read(self.weights).linear.shape[1])

    def encode(self, texts: Sequence[str]) -> Rows:
        """Unit rows (n, dim); a text without words has the row of "nothing"; BadInput where an item is not a str."""
        found = check_texts(texts)
        w = _read(self.weights)
        out = np.empty((len(found), w.linear.shape[1]), np.float32)
        for at in range(0, len(found), _AT_ONCE):
            out[at : at + _AT_ONCE] = _head(w, _pool(w, found[at : at + _AT_ONCE]))
        return out


@lru_cache(maxsize=1)
def token_table(weights: Path = EMBEDDED) -> tuple[WordPieces, Rows]:
    """The word pieces, and the row (width,) of each of their ids; BadInput where the file is not such."""
    w = _read(weights)
    return w.tokens, w.table * w.scale


def _pool(w: _Weights, texts: list[str]) -> Rows:
    """Sums of the rows of each text's pieces and known pairs, scaled alike; log count and log norm: (n, width + 2)."""
    flat: list[int] = []
    starts: list[int] = []
    counts: list[int] = []
    size, row_of = w.size, w.pairs.get
    for text in texts:
        ids = w.tokens.ids(text) or [len(w.tokens.vocabulary)]
        both = [row for a, b in pairwise(ids) if (row := row_of(a * size + b))]
        starts.append(len(flat))
        counts.append(len(ids) + len(both))
        flat += ids
        flat += both
    sums = np.add.reduceat(w.table[flat].astype(np.float32), starts, axis=0)
    pooled = sums * w.scale
    norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", pooled, pooled)), 1e-6)
    out = np.empty((len(pooled), pooled.shape[1] + 2), np.float32)
    np.multiply(pooled, (np.sqrt(np.float32(pooled.shape[1])) / norms)[:, None], out=out[:, :-2])
    out[:, -2], out[:, -1] = np.log(counts), np.log(norms)
    return out


def _head(w: _Weights, pooled: Rows) -> Rows:
    """Unit rows (n, dim); blocks have one shape, so that the linear algebra library treats every row alike."""
    n = len(pooled)
    blocks = np.zeros((-(-n // _BLOCK), _BLOCK, pooled.shape[1]), np.float32)
    blocks.reshape(-1, pooled.shape[1])[:n] = pooled
    hidden = np.maximum(blocks @ w.inner + w.inner_bias, 0.0)
    out = blocks @ w.linear + hidden @ w.outer + w.outer_bias
    return unit(out.reshape(-1, out.shape[2])[:n])
