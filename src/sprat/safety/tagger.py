"""A linear-chain conditional random field over words: names, addresses and others that have no form of their own.

Lafferty et al. 2001, with tags B and I of each kind and O. A word is read by its form, its neighbours' and the embedded
word pieces' vectors (encoders/static.py). Beside the best tags it gives what calibration needs: the probability of each
tag of each word, by forward and backward sums. Checked against sums over all tags.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..encoders.static import token_table
from ..errors import BadInput
from .patterns import Found
from .scorer import Floats

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+|[^\w\s]|_")
_AT_ONCE, _REACH = 400, 2  # words that are read at once, and how far a word's features look
_VECTORS = 1 << 14  # words whose vectors are kept


class Token(NamedTuple):
    """A word of a text: where it stands, how it is read, and the form that it is within, if any."""

    start: int
    end: int
    word: str
    form: str


def tokens(text: str, found: Sequence[Found], whole: Collection[str]) -> list[Token]:
    """The words of a text; a form of a kind in `whole` is one word, others lend their name to the words within."""
    sure = sorted(f for f in found if f.kind in whole)
    hint = sorted(f for f in found if f.kind not in whole)
    out, at = list[Token](), 0
    for stop, end, kind in [*((f.start, f.end, f.kind) for f in sure), (len(text), len(text), "")]:
        for match in _TOKEN.finditer(text, at, stop):
            a, b = match.span()
            out.append(Token(a, b, match.group(), next((f.kind for f in hint if f.start <= a and b <= f.end), "")))
        if kind:
            out.append(Token(stop, end, f"<{kind}>", kind))
        at = end
    return out


def shape(word: str) -> str:
    """Its characters' kinds, runs of one kind cut to two: 'Xxx', 'XX', 'dd'."""
    kinds = "".join("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word)
    return re.sub(r"(.)\1+", r"\1\1", kinds)[:8]


def features(read: Sequence[Token], text: str, buckets: int) -> list[list[int]]:
    """The buckets of each word's features."""
    low = ["<s>", "<s>", *(t.word.lower() for t in read), "</s>", "</s>"]
    forms = ["<s>", "<s>", *(shape(t.word) for t in read), "</s>", "</s>"]
    out = list[list[int]]()
    for i, token in enumerate(read):
        k, word = i + 2, token.word
        line = "\n" in text[read[i - 1].end : token.start] if i else True
        said = [
            f"w={low[k]}", f"s={forms[k]}", f"n={min(len(word), 9)}", f"f={token.form}", f"l={line}",
            *(f"p{n}={low[k][:n]}" for n in (2, 3)), *(f"e{n}={low[k][-n:]}" for n in (1, 2, 3, 4)),
            *(f"w{o}={low[k + o]}" for o in (-2, -1, 1, 2)), *(f"s{o}={forms[k + o]}" for o in (-2, -1, 1, 2)),
            f"w-w={low[k - 1]} {low[k]}", f"w+w={low[k]} {low[k + 1]}", f"s-s={forms[k - 1]} {forms[k]}",
            f"s+s={forms[k]} {forms[k + 1]}", f"sss={forms[k - 1]} {forms[k]} {forms[k + 1]}",
            f"ws={low[k - 1]} {forms[k]}", f"2w={low[k - 2]} {low[k - 1]} {forms[k]}",
        ]  # fmt: skip
        out.append([crc32(s.encode("utf-8", "surrogatepass")) % buckets for s in said])
    return out


@lru_cache(maxsize=_VECTORS)
def _vector(word: str) -> NDArray[np.float32]:
    pieces, table = token_table()
    ids = pieces.ids(word)
    row = table[np.array(ids, np.int64)].mean(axis=0) if ids else np.zeros(table.shape[1], np.float32)
    return row / max(float(np.linalg.norm(row)), 1e-6)


def vectors(read: Sequence[Token]) -> NDArray[np.float32]:
    """The vectors of each word, the one before and the one after, side by side: (n, 3 width)."""
    if not read:
        return np.zeros((0, 3 * token_table()[1].shape[1]), np.float32)
    rows = np.stack([_vector("" if t.word.startswith("<") and len(t.word) > 1 else t.word) for t in read])
    empty = np.zeros_like(rows[:1])
    return np.hstack([rows, np.concatenate([empty, rows[:-1]]), np.concatenate([rows[1:], empty])])


@dataclass(frozen=True, eq=False)
class Chain:
    """`table` (buckets, tags) and `dense` (3 width, tags) score words, `steps` (tags, tags) and `starts` (tags,) tags.

    What may not follow is -inf. Tags are O, then B and I of each of `kinds`.
    """

    kinds: tuple[str, ...]
    table: NDArray[np.float32]
    dense: NDArray[np.float32]
    steps: Floats
    starts: Floats
    curve: Floats
    about: Mapping[str, Any]

    def scores(self, read: Sequence[Token], text: str) -> Floats:
        """The score of each tag of each word, (n, tags); in pieces with two neighbours, which changes none."""
        rows = [np.zeros((0, self.table.shape[1]))]
        for i in range(0, len(read), _AT_ONCE):
            before = min(i, _REACH)
            part = read[i - before : i + _AT_ONCE + _REACH]
            at = np.array(features(part, text, len(self.table)), np.int64)
            found = self.table[at].sum(axis=1) + vectors(part) @ self.dense
            rows.append(found[before : before + _AT_ONCE].astype(np.float64))
        return np.concatenate(rows)

    def best(self, scores: Floats) -> list[int]:
        """The likeliest tags (Viterbi)."""
        reach, back = self.starts + scores[0], list[NDArray[np.int64]]()
        for row in scores[1:]:
            paths = reach[:, None] + self.steps
            back.append(paths.argmax(axis=0))
            reach = paths.max(axis=0) + row
        tags = [int(reach.argmax())]
        for step in reversed(back):
            tags.append(int(step[tags[-1]]))
        return tags[::-1]

    def marginals(self, scores: Floats) -> Floats:
        """The probability of each tag of each word, (n, tags)."""
        steps = np.exp(self.steps)
        seen = np.exp(scores - scores.max(axis=1, keepdims=True))
        ahead, behind = np.empty_like(seen), np.ones_like(seen)
        for i, row in enumerate(seen):
            ahead[i] = np.exp(self.starts) * row if not i else (ahead[i - 1] @ steps) * row
            ahead[i] /= ahead[i].sum()
        for i in range(len(seen) - 2, -1, -1):
            behind[i] = steps @ (seen[i + 1] * behind[i + 1])
            behind[i] /= behind[i].sum()
        both = ahead * behind
        return both / both.sum(axis=1, keepdims=True)

    def spans(self, tags: Sequence[int]) -> list[tuple[int, int, str]]:
        """Stretches of words [first, last) with their kind."""
        begins = [i for i, t in enumerate(tags) if t % 2 == 1]
        out = list[tuple[int, int, str]]()
        for first, following in pairwise([*begins, len(tags)]):
            last = next((i for i in range(first + 1, following) if tags[i] != tags[first] + 1), following)
            out.append((first, last, self.kinds[tags[first] // 2]))
        return out


@lru_cache(maxsize=4)
def read_chain(path: Path) -> Chain:
    """The file's weights; BadInput where there is none, or it is not such a file."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as found:
            held = {k: found[k] for k in found.files}
        about = json.loads(held["about"].tobytes())
        table, dense = (held[n].astype(np.float32) * np.float32(held[f"{n}_scale"]) for n in ("table", "dense"))
        steps, starts, curve = (held[n].astype(np.float64) for n in ("steps", "starts", "curve"))
        return Chain(tuple(about["kinds"]), table, dense, steps, starts, curve, about)
    except FileNotFoundError as missing:
        raise BadInput(
            f"There are no tagger's weights at {path}.", hint="Reinstall sprat, or name a file."
        ) from missing
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as broken:
        raise BadInput(f"{path} is not a file of a tagger.", hint="Make one by recipes/safety/pii.py.") from broken
