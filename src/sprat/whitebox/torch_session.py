"""Any causal language model of transformers as a session: rows of unequal length, read on, rolled back, selected.

The cache is written in place (torch_cache.py), and rows of unequal length are put so that all end in the same slot: a
step then is one copy. No mask is made where none is needed: all rows alike, and one new token or nothing read before. A
model is tried once when it is opened: a ragged, rolled-back session must give the logits of plain forward passes, else
it is refused. Checked against plain forward passes of nine architectures (tests/whitebox/test_torch_session.py); not
tried on a GPU.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BadInput, CannotDo
from .library import library
from .session import Integers
from .torch_cache import cache_class
from .torch_lean import Lean, lean_of

BLOCK = 8192  # tokens of all rows that one forward reads at most: bounds the activations of a long prompt
MASK = 1 << 26  # entries of a mask at most
KNOWN = {"full_attention", "sliding_attention"}  # kinds of layers whose past is kept token by token


class TorchModel:
    """A transformers model that was found to work with sessions; `session(batch)` opens one.

    `positions` is how many tokens a row may hold (None: no limit known). Raises CannotDo for what can't be read token
    by token: encoder-decoders, recurrent state, attention that takes no masks.
    """

    def __init__(self, model: Any, name: str = "", tried: bool = True, lean: bool = True) -> None:
        self.torch = library("torch", "A transformers model")
        self.model, self.name = model, name or type(model).__name__
        config = model.config
        if getattr(config, "is_encoder_decoder", False):
            raise CannotDo(f"'{self.name}' is an encoder-decoder.", hint="Needed: a causal language model.")
        self.config = config.get_text_config()
        if getattr(self.config, "_attn_implementation", "eager") not in ("eager", "sdpa"):
            raise CannotDo(
                f"'{self.name}' was loaded with {self.config._attn_implementation}, which takes no masks per row.",
                hint='Load it with attn_implementation="sdpa".',
            )
        accepted = inspect.signature(model.forward).parameters
        if missing := {"position_ids", "past_key_values"} - accepted.keys():
            raise CannotDo(
                f"'{self.name}' takes no {' and no '.join(sorted(missing))}, so its rows can't differ in length.",
                hint="Models with attention over positions of their own work: Llama, GPT-2, Qwen, Mistral, Gemma, ...",
            )
        self.keeps = "logits_to_keep" in accepted
        self.windows, self.kinds = self._layers()
        self.windowed = {w for w in self.windows if w is not None}
        self.positions = _limit(self.config)
        self.device, self.dtype = model.device, model.dtype
        self._arange: Any = None
        self.lean: Lean | None = None
        model.eval()
        if tried:
            self._try()
        if lean and (made := lean_of(model)) is not None:
            self.lean = made
            try:
                self._try()
            except CannotDo:
                self.lean = None

    def _layers(self) -> tuple[list[int | None], frozenset[str] | None]:
        """Each layer's window, and the names of the masks that the model takes, None where it takes one."""
        count = int(self.config.num_hidden_layers)
        types = getattr(self.config, "layer_types", None)
        if types is not None:
            window = getattr(self.config, "sliding_window", None)
            if strange := set(types) - KNOWN:
                raise CannotDo(
                    f"'{self.name}' has layers of the kind {', '.join(sorted(strange))}, which can't be rolled back.",
                    hint="Needed: full or sliding-window attention in every layer.",
                )
            return [window if t == "sliding_attention" else None for t in types], frozenset(types)
        if getattr(self.config, "attention_chunk_size", None) is not None or _recurrent(self.model):
            raise CannotDo(
                f"'{self.name}' keeps a state that can't be rolled back token by token.",
                hint="Needed: full or sliding-window attention in every layer.",
            )
        return [getattr(self.config, "sliding_window", None)] * count, None

    def session(self, batch: int) -> TorchSession:
        """An empty session of `batch` rows."""
        if self.lean is not None and not self.lean.current:
            self.lean = None
        return TorchSession(self, batch)

    def arange(self, n: int) -> Any:
        """0..n-1 on the model's device, (n,); kept and grown."""
        known = self._arange
        if known is None or known.shape[0] < n:
            torch = self.torch
            # Whoever grew it last wins; a slice of any is right.
            self._arange = known = torch.arange(max(1024, 2 * n), device=self.device)
        return known[:n]

    def forward(self, ids: Any, positions: Any, mask: Any, cache: Any, keep: int, states: bool = False) -> Any:
        """Logits of the last `keep` columns; with `states` the last column's hidden states instead."""
        if states:
            found = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=True,
            ).hidden_states
            return self.torch.stack([layer[:, -1] for layer in found], 1)
        if self.lean is not None:
            return self.lean(ids, positions, mask, cache, keep, cache.end)
        if self.keeps:
            return self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=keep,
            ).logits
        logits = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).logits
        return logits[:, -keep:]

    def _try(self) -> None:
        """A ragged, rolled-back session against plain forward passes on a few tokens; CannotDo where they differ."""
        torch = self.torch
        most = min(int(self.config.vocab_size), 64)
        texts = [[(7 * i + 3 * row + 1) % most for i in range(n)] for row, n in enumerate((8, 4))]
        try:
            with torch.inference_mode():
                plain = [self.model(input_ids=torch.tensor([t], device=self.device), use_cache=False) for t in texts]
            session = self.session(2)
            first = np.array([texts[0][:6], [0, 0, 0, *texts[1][:3]]])
            session.feed(first, np.array([6, 3]), keep=1)
            session.feed(np.array([[1, 1], [1, 1]]))
            session.rollback(np.array([3, 4]))
            rest = np.array([texts[0][5:], texts[1][1:]])
            got = session.feed(rest)
        except (TypeError, AttributeError, NotImplementedError, IndexError, RuntimeError) as broken:
            raise CannotDo(
                f"'{self.name}' can't be read token by token: {str(broken).splitlines()[0]}.",
                hint="Needed: a causal language model with a key-value cache and position ids.",
            ) from broken
        for row, out in enumerate(plain):
            wanted = out.logits[0, -3:].float()
            if not bool(wanted.isfinite().all()):
                continue  # broken weights are the loop's to report
            scale = float(wanted.abs().max()) + 1e-6
            off = float((got[row].float() - wanted).abs().max()) / scale
            if off > (2e-3 if self.dtype.itemsize >= 4 else 0.2):
                raise CannotDo(
                    f"'{self.name}' gives other logits with rows of unequal length (off by {off:.1%} of the largest).",
                    hint="Its attention does not follow masks and position ids; sprat can't decode with it.",
                )


class TorchSession:
    """Rows that a transformers model has read. Logits are tensors on the model's device, in the model's type."""

    def __init__(self, opened: TorchModel, batch: int) -> None:
        self.opened = opened
        self.cache: Any = cache_class()(opened.windows)
        self._lengths = np.zeros(batch, np.int64)
        self._level: int | None = 0  # the slot past every row's last token; None where they differ
        self._align(np.zeros(batch, np.int64))

    @property
    def lengths(self) -> Integers:
        """Tokens that each row holds, (batch,)."""
        return self._lengths.copy()

    @property
    def _end(self) -> int:
        """The slot past the last token of any row."""
        return int((self._starts + self._lengths).max(initial=0)) if self._level is None else self._level

    def _align(self, starts: Integers) -> None:
        """Let each row's first token stand in this slot, (batch,)."""
        self._starts = starts
        self._even = not starts.any()
        self._first: Any = None  # the starts on the device, (batch, 1)
        self._open: Any = None  # which slots lie past the starts, as a mask

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        """Read `ids` (batch, n), aligned to the right; see Session. Raises BadInput past the model's positions."""
        return self._feed(ids, counts, keep, False)

    def states(self, ids: Integers, counts: Integers | None = None) -> Any:
        """Read as `feed` does; the last token's hidden states as transformers gives them, (batch, layers + 1, width).

        The embedding's come first; the last layer's are normed, as the head reads them.
        """
        return self._feed(ids, counts, 1, True)

    def _feed(self, ids: Integers, counts: Integers | None, keep: int | None, states: bool) -> Any:
        torch = self.opened.torch
        if self.cache is None:
            raise BadInput("This session is closed.", hint="Open another one.")
        batch, n = ids.shape
        if counts is not None and bool((counts == n).all()):
            counts = None
        self._check(batch, n, counts)
        if counts is not None and batch > 1 and not self._lengths.any():  # a row alone needs no mask: it starts at 0
            self._level = 0
            self._align(n - counts)
        device = self.opened.device
        with torch.inference_mode():
            block = max(1, min(n, BLOCK // batch))
            wanted = n if keep is None else keep
            tokens = torch.as_tensor(np.ascontiguousarray(ids)).to(device, non_blocking=True)
            if block == n and not self._too_wide(n):
                return self._read(tokens, counts, wanted, states)
            made: list[Any] = []
            for start, stop in self._blocks(n, block):
                part = None if counts is None else np.clip(counts - (n - stop), 0, stop - start)
                kept = min(max(0, wanted - (n - stop)), stop - start)
                logits = self._read(tokens[:, start:stop], part, max(1, kept), states and stop == n)
                if kept:
                    made.append(logits)
            return made[0] if len(made) == 1 else torch.cat(made, 1)

    def _blocks(self, n: int, block: int) -> list[tuple[int, int]]:
        """Column ranges of at most `block`, narrower where the mask would be too large."""
        block = max(1, min(block, MASK // (len(self._lengths) * (self._end + n))))
        return [(at, min(n, at + block)) for at in range(0, n, block)]

    def _too_wide(self, n: int) -> bool:
        return len(self._lengths) * n * (self._end + n) > MASK if n > 1 else False

    def _check(self, batch: int, n: int, counts: Integers | None) -> None:
        if batch != len(self._lengths):
            raise BadInput(f"Fed {batch} rows to a session of {len(self._lengths)}.")
        limit = self.opened.positions
        if limit is None or n + self._end <= limit:
            return
        longest = int((self._lengths + (n if counts is None else counts)).max())
        if longest > limit:
            raise BadInput(
                f"A row would hold {longest} tokens; {self.opened.name} reads at most {limit}.", hint="Shorten it."
            )

    def _read(self, tokens: Any, counts: Integers | None, keep: int, states: bool) -> Any:
        """One forward over (batch, n) tokens."""
        n, level = tokens.shape[1], self._level
        after = self._lengths + (n if counts is None else counts)
        if level is None or not (counts is None or np.array_equal(after, (level + n - self._starts).clip(0))):
            return self._scatter(tokens, counts, keep, after, states)
        opened, cache, end = self.opened, self.cache, level + n
        slots = opened.arange(end)[None, level:]
        cache.begin(level, end, n == 1)
        if self._even:
            positions, mask = slots, None
            if n > 1 and (level or self._must_mask(end)):
                mask = self._masks(slots, end)
            elif n == 1 and opened.kinds is not None:
                mask = dict.fromkeys(opened.kinds)  # spares the model from making masks that say nothing
        else:
            positions = (slots - self._device_starts()).clamp_(min=0)
            mask = self._masks(slots, end) if n > 1 else self._open_masks(end)
        logits = opened.forward(tokens, positions, mask, cache, keep, states)
        self._lengths, self._level = after, end
        return logits

    def _scatter(self, tokens: Any, counts: Integers | None, keep: int, after: Integers, states: bool) -> Any:
        """One forward whose tokens go to other slots in each row; what is to be ignored goes to the last slot."""
        opened, n = self.opened, tokens.shape[1]
        positions = after[:, None] + np.arange(-n, 0)
        slots = positions + self._starts[:, None]
        if counts is not None:
            ignored = np.arange(n) < n - counts[:, None]
            positions[ignored] = 0
            slots[ignored] = -1
        end = int((self._starts + after).max())
        place = opened.torch.as_tensor(slots).to(opened.device)
        self.cache.begin(None, end, False, (opened.arange(len(after))[:, None], place))
        # What is ignored attends the row's first slot, since something must be attended.
        mask = self._masks(place.maximum(self._device_starts()), end)
        where = opened.torch.as_tensor(positions).to(opened.device)
        logits = opened.forward(tokens, where, mask, self.cache, keep, states)
        self._settle(after)
        return logits

    def _must_mask(self, end: int) -> bool:
        """Whether a window matters that the model's own forward would have masked."""
        return self.opened.lean is not None and any(end > window for window in self.opened.windowed)

    def _device_starts(self) -> Any:
        if self._first is None:
            self._first = self.opened.torch.as_tensor(self._starts).to(self.opened.device)[:, None]
        return self._first

    def _masks(self, at: Any, end: int) -> Any:
        """Which slots the columns in the slots `at` attend, (batch, 1, n, end): one mask, or one per kind of layer.

        Columns that stand before their row's start attend themselves.
        """
        slots, at = self.opened.arange(end), at[:, None, :, None]
        full = slots <= at
        if not self._even:
            full = full & (slots >= self._device_starts()[:, None, :, None].minimum(at))
        mask, window = self._added(full), max(self.opened.windowed, default=end)
        return self._by_kind(mask, mask if end <= window else self._added(full & (slots > at - window)))

    def _open_masks(self, end: int) -> Any:
        """The same for one new token per row in the slot end - 1; a layer with a window is shown its window alone."""
        if self._open is None or self._open.shape[-1] < end:
            self._open = self._added(self.opened.arange(2 * end) >= self._device_starts())[:, None, None]
        window = max(self.opened.windowed, default=end)
        return self._by_kind(self._open[..., :end], self._open[..., max(0, end - window) : end])

    def _by_kind(self, full: Any, sliding: Any) -> Any:
        kinds = self.opened.kinds
        return sliding if kinds is None else {k: sliding if k == "sliding_attention" else full for k in kinds}

    def _added(self, seen: Any) -> Any:
        """A mask as numbers to add: attention would else make them from it in every layer."""
        dtype, torch = self.opened.model.dtype, self.opened.torch
        return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)

    def _settle(self, lengths: Integers) -> None:
        self._lengths = lengths
        ends = self._starts + lengths
        first = int(ends[0]) if len(ends) else 0
        self._level = first if bool((ends == first).all()) else None
        if not lengths.any():
            self._level = 0
            self._align(np.zeros_like(lengths))

    def rollback(self, n: Integers | int) -> None:
        """Forget the last n tokens, one number for all rows or one per row; BadInput where so many were not read."""
        wanted = np.broadcast_to(np.asarray(n, np.int64), self._lengths.shape)
        if bool((wanted < 0).any()) or bool((wanted > self._lengths).any()):
            raise BadInput(f"Cannot take back {wanted.tolist()} tokens of {self._lengths.tolist()}.")
        self._settle(self._lengths - wanted)

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once."""
        torch = self.opened.torch
        kept = np.asarray(rows, np.int64)
        if np.array_equal(kept, np.arange(len(self._lengths))):
            return
        if kept.size and not (kept.min() >= 0 and kept.max() < len(self._lengths)):
            raise BadInput(f"Rows {kept.tolist()} of a session of {len(self._lengths)}.")
        starts, end = self._starts[kept], self._end
        unused = int(starts.min(initial=end))  # slots that none of these rows needs
        with torch.inference_mode():
            self.cache.select(torch.as_tensor(kept).to(self.opened.device), unused, end)
        self._align(starts - unused)
        self._settle(self._lengths[kept])

    def close(self) -> None:
        """Free the cache."""
        self.cache = None


def _recurrent(model: Any) -> bool:
    """Whether the class says that its cache is a state rather than tokens."""
    return bool(getattr(model, "_is_stateful", False))


def _limit(config: Any) -> int | None:
    """How many tokens a row may hold.

    Rotary embeddings that change with the text's length would contradict the keys already cached, so such a model is
    read up to where they change.
    """
    longest: Any = getattr(config, "max_position_embeddings", None)
    rope: Any = getattr(config, "rope_parameters", None) or {}
    nested = [r for r in rope.values() if isinstance(r, dict)] or [rope]
    for one in nested:
        if one.get("rope_type") in ("dynamic", "longrope"):
            before = one.get("original_max_position_embeddings") or longest
            longest = before if longest is None else min(longest, before)
    return int(longest) if longest else None
