"""How likely a decoder finds given replies: every reply is read in one go, many at a time, parts fed once each.

Nothing is written or drawn. Checked against the log-probabilities that the plain loop reports of what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Request
from ..errors import BadInput
from .arrays import host, log_softmax, take
from .decoder import Decoder
from .loop import not_finite
from .pool import Pool, Step
from .session import Integers

Floats = NDArray[np.float64]
ENTRIES = 1 << 24  # scores in one block at most: bounds the memory of long replies and large vocabularies


@dataclass(frozen=True, eq=False)
class Seen:
    """Some places of some replies: the parts' scores are in `step`, (batch, n, vocabulary).

    `rows` (batch,) says which replies, `start` the place of the first column, `ids` (batch, n) the tokens that follow
    there; where `real` (batch, n) is False the reply has ended, and the scores mean nothing.
    """

    rows: Integers
    start: int
    ids: Integers
    real: NDArray[np.bool_]
    step: Step


def ids_of(decoder: Decoder, replies: Sequence[str | Sequence[int]]) -> list[list[int]]:
    """The replies as token ids of the decoder's base; ids stay as they are. BadInput for text that it can't write."""
    encode = decoder.base.vocabulary.encode
    return [encode(reply) if isinstance(reply, str) else [int(i) for i in reply] for reply in replies]


def read(
    decoders: Sequence[Decoder],
    requests: Sequence[Request],
    ids: Sequence[Sequence[int]],
    told: Sequence[dict[str, Any]] | None = None,
) -> Iterator[Seen]:
    """Let the decoders read the replies after their prompts; every place of every reply comes once, in blocks.

    Remote parts leave in `told`, one per reply, what their calls took.
    Replies alike in length go together. Raises BadInput where a reply doesn't fit, or an id is not in the vocabulary.
    """
    if len(requests) != len(ids):
        raise BadInput(f"{len(requests)} requests came with {len(ids)} replies.", hint="Give one reply per request.")
    at_once = min(leaf.at_once for decoder in decoders for leaf in decoder.leaves)
    order = sorted((i for i, row in enumerate(ids) if len(row)), key=lambda i: len(ids[i]))
    for start in range(0, len(order), at_once):
        yield from _together(decoders, requests, ids, told, np.array(order[start : start + at_once]))


def _together(
    decoders: Sequence[Decoder],
    requests: Sequence[Request],
    ids: Sequence[Sequence[int]],
    told: Sequence[dict[str, Any]] | None,
    rows: Integers,
) -> Iterator[Seen]:
    pool = Pool(decoders, [requests[i] for i in rows.tolist()], told and [told[i] for i in rows.tolist()])
    try:
        lengths = np.array([len(ids[i]) for i in rows.tolist()])
        padded = np.zeros((len(rows), int(lengths.max())), np.int64)
        for line, i in zip(padded, rows.tolist(), strict=True):
            line[: len(ids[i])] = ids[i]
        _check(pool, padded, lengths)
        at = 0
        while True:
            block = max(1, ENTRIES // (len(rows) * pool.size))
            # Padding must fit too: no row is taken past what its parts read.
            end = min(int(lengths.max()), at + block, int(pool.room.min()))
            if end > 1:
                pool.write(padded[:, max(0, at - 1) : end - 1])
            real = np.arange(at, end) < lengths[:, None]
            yield Seen(rows, at, padded[:, at:end], real, pool.look(end - at))
            going = np.flatnonzero(lengths > end)
            if not len(going):
                return
            if len(going) < len(rows):
                pool.select(going)
                rows, lengths, padded = rows[going], lengths[going], padded[going]
            pool.settle()
            at = end
    finally:
        pool.close()


def _check(pool: Pool, ids: Integers, lengths: Integers) -> None:
    if (late := lengths > pool.room).any():
        row = int(np.argmax(late))
        raise BadInput(
            f"A reply has {lengths[row]} tokens; after its prompt {pool.room[row]} fit.", hint="Shorten it, or cut it."
        )
    if int(ids.min()) < 0 or int(ids.max()) >= pool.size:
        raise BadInput(f"A reply holds token {int(ids.max())}.", hint=f"The parts share {pool.size} tokens.")


def logprobs(
    decoder: Decoder,
    requests: Sequence[Request | str],
    replies: Sequence[str | Sequence[int]],
    *,
    ended: bool = False,
    told: Sequence[dict[str, Any]] | None = None,
) -> list[Floats]:
    """Natural log-probability of each token of each reply (text or ids) under the decoder, at temperature 1.

    With `ended` one more follows: that the reply ends there. `told` as in `read`. Raises BadInput where a reply
    doesn't fit after its prompt, or scores are not finite.
    """
    ids = ids_of(decoder, replies)
    ends = sorted(decoder.base.vocabulary.ends)
    if ended and not ends:
        raise BadInput(f"'{decoder.base.name}' has no end token.", hint="Leave `ended` out.")
    asked = [Request.of(request) for request in requests]
    found = [np.zeros(len(row) + ended) for row in ids]
    for seen in read([decoder], asked, [[*row, ends[0]] for row in ids] if ended else ids, told):
        whole = log_softmax(seen.step.of(decoder))
        there = host(take(whole, seen.ids)).astype(np.float64)
        if bool(np.isnan(there[seen.real]).any()):
            raise not_finite(decoder, seen.start + 1)
        for row, line, real in zip(seen.rows.tolist(), there, seen.real, strict=True):
            n = int(real.sum())
            found[row][seen.start : seen.start + n] = line[:n]
        if ended:
            for place, row in enumerate(seen.rows.tolist()):
                last = len(ids[row]) - seen.start
                if 0 <= last < seen.ids.shape[1]:
                    found[row][-1] = np.logaddexp.reduce(host(whole[place, last])[ends].astype(np.float64))
    return found


def windows(decoders: Sequence[Decoder], texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
    """Texts as pieces of ids that fit after an empty prompt, and the number of the text that each is from.

    A text longer than what the parts read is cut into pieces that do not overlap; each is read from the beginning.
    """
    empty = Request.of("")
    leaves = [leaf for decoder in decoders for leaf in decoder.leaves]
    rooms = [leaf.positions - len(leaf.prompt(empty)) + 1 for leaf in leaves if leaf.positions is not None]
    pieces: list[list[int]] = []
    owners: list[int] = []
    for number, row in enumerate(ids_of(decoders[0], texts)):
        size = min(rooms, default=len(row)) or 1
        for start in range(0, len(row), size):
            pieces.append(row[start : start + size])
            owners.append(number)
    return pieces, owners


def text_logprobs(decoder: Decoder, texts: Sequence[str]) -> list[Floats]:
    """Natural log-probabilities of the tokens of each text, read after an empty prompt; long texts as in `windows`."""
    pieces, owners = windows([decoder], texts)
    found: list[list[Floats]] = [[] for _ in texts]
    for owner, values in zip(owners, logprobs(decoder, [""] * len(pieces), pieces), strict=True):
        found[owner].append(values)
    return [np.concatenate(parts) if parts else np.zeros(0) for parts in found]


def perplexity(decoder: Decoder, texts: Sequence[str]) -> float:
    """e to the mean negative log-probability per token over all texts; BadInput where they hold no token."""
    values: Any = np.concatenate([*text_logprobs(decoder, texts), np.zeros(0)])
    if not len(values):
        raise BadInput("There is no token to score.", hint="Give at least one text.")
    return float(np.exp(-values.mean()))
