"""A model exported by onnx_export.py as a session of onnxruntime: one cache for all rows, written in place.

The graph's GroupQueryAttention counts each row's mask for its length, so a buffer longer than the text is both its past
and its present: nothing is copied per token, and a rollback only lowers a number. One new token for every row is one
run of the whole batch, also where rows differ in length; longer blocks run row by row, each in its own part of the
buffers, or column by column where that takes fewer runs (the operator takes blocks after a past for one row only).
Checked against torch's forward at every export and in tests/whitebox/test_onnx.py; CPU only, not tried on a GPU.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, CannotDo, MissingExtra
from .session import Integers

CAPACITY = 64  # places of a new cache; doubled when full
LOGITS = 1 << 22  # numbers that one run writes as logits at most: bounds a long prompt's memory
SMALL, BINDINGS = 16, 64  # tokens of a block whose binding is kept, and how many are
BLOCK = 512  # tokens that one run reads at most
TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class OnnxModel:
    """An exported graph, loaded once; `session(batch)` opens rows of text on it.

    `vocabulary` crops the logits of a padded export; `threads` default to OMP_NUM_THREADS, else onnxruntime's choice.
    Raises BadInput where the folder holds no such graph, CannotDo for a graph with other inputs than a cache.
    """

    def __init__(
        self, path: str | Path, vocabulary: int | None = None, threads: int | None = None, name: str = ""
    ) -> None:
        self.path = Path(path)
        self.name = name or self.path.name
        try:
            config = json.loads((self.path / "genai_config.json").read_text(encoding="utf-8"))["model"]
            decoder = config["decoder"]
            self.layers, self.heads = int(decoder["num_hidden_layers"]), int(decoder["num_key_value_heads"])
            self.head_size, self.positions = int(decoder["head_size"]), int(config["context_length"])
            self.size, self.graph = int(config["vocab_size"]), self.path / str(decoder["filename"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} is not a folder that sprat.whitebox.export_onnx made.", hint="Needed: genai_config.json."
            ) from error
        self.vocabulary: int = vocabulary or self.size
        self.run = _load(self.graph, threads)
        self.pasts = [f"past_key_values.{i}.{k}" for i in range(self.layers) for k in ("key", "value")]
        self.presents = [f"present.{i}.{k}" for i in range(self.layers) for k in ("key", "value")]
        given = {i.name: i.type for i in self.run.get_inputs()}
        if strange := given.keys() ^ {"input_ids", "attention_mask", *self.pasts}:
            raise CannotDo(
                f"The graph of '{self.name}' has or lacks the inputs {', '.join(sorted(strange))}.",
                hint="Needed: ids, a mask, and a cache of keys and values; use the transformers endpoint for it.",
            )
        self.ids_type, self.mask_type = TYPES[given["input_ids"]], TYPES[given["attention_mask"]]
        self.cache_type = TYPES[given[self.pasts[0]]]
        self.logits_type = TYPES[next(o.type for o in self.run.get_outputs() if o.name == "logits")]

    def session(self, batch: int) -> OnnxSession:
        """An empty session of `batch` rows."""
        return OnnxSession(self, batch)


def _load(graph: Path, threads: int | None) -> Any:
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra("onnx", "An ONNX model") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BadInput(f"onnxruntime can't load {graph}: {error}", hint="Export the model again.") from error


class OnnxSession:
    """Rows of tokens that an exported model has read; see sprat.whitebox.session.Session."""

    def __init__(self, model: OnnxModel, batch: int) -> None:
        self.model = model
        self._lengths = np.zeros(batch, np.int64)
        self._allocate(0)

    @property
    def lengths(self) -> Integers:
        """Tokens that each row holds, (batch,)."""
        return self._lengths.copy()

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        """Read `ids` (batch, n) as Session.feed says; logits (batch, keep, vocabulary) in NumPy."""
        ids = np.asarray(ids)
        batch, n = ids.shape
        kept: int = n if keep is None else min(keep, n)
        if counts is None and (batch == 1 or n == 1):
            self._check(ids, int(self._lengths.max(initial=0)) + n)
            if batch > 1:
                return self._step(ids, None)[:, :kept]
            only: Any = np.empty((1, kept, self.model.vocabulary), self.model.logits_type)
            self._block(0, ids[0], only[0])
            return only
        read = np.full(batch, n, np.int64) if counts is None else np.asarray(counts, np.int64)
        if (read < 0).any() or (read > n).any():
            raise BadInput(f"Counts {read.tolist()} do not fit blocks of {n} tokens.")
        ids = np.where(np.arange(n) >= n - read[:, None], ids, 0)
        self._check(ids, int((self._lengths + read).max(initial=0)))
        logits: Any = np.zeros((batch, kept, self.model.vocabulary), self.model.logits_type)
        most, longest = int(read.max(initial=0)), int(self._lengths.max(initial=0))
        # An idle row of a batched run has a token put after its end, for which there must be a place.
        if most < np.count_nonzero(read) and longest + most <= self.model.positions:
            self._check(ids, longest + most)
            for column in range(n - most, n):
                given = self._step(ids[:, column : column + 1], column >= n - read)
                if column >= n - kept:
                    logits[:, column - n + kept] = given[:, 0]
        else:
            for row in np.flatnonzero(read):
                self._block(int(row), ids[row, n - read[row] :], logits[row])
        return logits

    def rollback(self, n: Integers | int) -> None:
        """Forget the last n tokens of each row; what the buffers hold past a row's length is never read."""
        left = self._lengths - n
        if ((left < 0) | (left > self._lengths)).any():
            raise BadInput(f"Cannot forget {n} tokens: the rows hold {self._lengths.tolist()}.")
        self._lengths = left

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once."""
        chosen = np.asarray(rows, np.int64).reshape(-1)
        if np.array_equal(chosen, np.arange(len(self._lengths))):
            return
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self._lengths)):
            raise BadInput(f"Rows {chosen.tolist()} were asked for; there are {len(self._lengths)}.")
        self._lengths = self._lengths[chosen]
        self._allocate(self._capacity, chosen)

    def close(self) -> None:
        """Free the cache; the rows are empty."""
        self._lengths[:] = 0
        self._allocate(0)

    def _check(self, ids: np.ndarray[Any, Any], longest: int) -> None:
        """See that all ids have a token and that there is a place for so many in a row."""
        flat: list[int] = ids.ravel().tolist() if ids.size <= SMALL else [int(ids.min()), int(ids.max())]
        if flat and (min(flat) < 0 or max(flat) >= self.model.vocabulary):
            raise BadInput(
                f"The ids {min(flat)} to {max(flat)} were fed; '{self.model.name}' has 0 to "
                f"{self.model.vocabulary - 1}."
            )
        if longest > self.model.positions:
            raise BadInput(
                f"A row would hold {longest} tokens; '{self.model.name}' reads at most {self.model.positions}.",
                hint="Shorten the prompt or max_tokens.",
            )
        if longest > self._capacity:
            self._allocate(min(self.model.positions, max(longest, 2 * self._capacity, CAPACITY)))

    def _allocate(self, capacity: int, rows: Integers | None = None) -> None:
        """New buffers of so many places, with what the old ones hold of these rows (default: all)."""
        model, batch = self.model, len(self._lengths)
        used = int(self._lengths.max(initial=0))
        old = self._buffers if used else []
        self._capacity = capacity
        shape = (batch, model.heads, capacity, model.head_size)
        self._buffers = [np.zeros(shape if capacity else (0,), model.cache_type) for _ in model.pasts]
        for new, was in zip(self._buffers, old, strict=False):
            new[:, :, :used] = was[:, :, :used] if rows is None else was[rows, :, :used]
        self._mask = np.zeros((batch, capacity), model.mask_type)
        self._shown = [0] * batch
        self._bound: dict[tuple[int, int, int], Any] = {}

    def _step(self, ids: np.ndarray[Any, Any], active: np.ndarray[Any, Any] | None) -> Any:
        """One token for every row; rows that are not `active` read one too, and forget it."""
        binding, given, logits = self._binding(0, len(self._lengths), 1)
        given[:] = ids
        for row, length in enumerate(self._lengths.tolist()):
            self._show(row, length + 1)
        self._run(binding)
        self._lengths += 1 if active is None else active
        return logits[:, :, : self.model.vocabulary].copy()

    def _block(self, row: int, ids: np.ndarray[Any, Any], logits: np.ndarray[Any, Any]) -> None:
        """Read one row's ids; its last logits go to the end of `logits` (keep, vocabulary)."""
        at_most = max(1, min(BLOCK, LOGITS // self.model.size))
        for start in range(0, len(ids), at_most):
            piece = ids[start : start + at_most]
            n = len(piece)
            binding, given, found = self._binding(row, row + 1, n)
            given[0] = piece
            self._show(row, int(self._lengths[row]) + n)
            self._run(binding)
            self._lengths[row] += n
            end = len(logits) - (len(ids) - start - n)
            first = max(0, end - n)
            if end > first:
                logits[first:end] = found[0, first - end :, : self.model.vocabulary]

    def _show(self, row: int, length: int) -> None:
        """Let the mask say how long a row is."""
        shown = self._shown[row]
        if length > shown:
            self._mask[row, shown:length] = 1
        else:
            self._mask[row, length:shown] = 0
        self._shown[row] = length

    def _run(self, binding: Any) -> None:
        try:
            self.model.run.run_with_iobinding(binding)
        except Exception as error:
            why = str(error).rpartition("Status Message: ")[2].splitlines()[0]
            raise CannotDo(
                f"onnxruntime can't run '{self.model.name}': {why}.",
                hint="Use the transformers endpoint for this model.",
            ) from error

    def _binding(self, start: int, stop: int, n: int) -> tuple[Any, Any, Any]:
        """Some rows' mask and caches as the graph's inputs and outputs at once, with the ids to fill in and the logits.

        Those of small blocks are kept, for binding costs more than the small models' arithmetic around it.
        """
        key = (start, stop, n)
        if key in self._bound:
            return self._bound[key]
        binding, model = self.model.run.io_binding(), self.model
        ids = np.zeros((stop - start, n), model.ids_type)
        logits = np.zeros((stop - start, n, model.size), model.logits_type)
        _give(binding, "input_ids", ids)
        _give(binding, "attention_mask", self._mask[start:stop])
        _take(binding, "logits", logits)
        for past, present, buffer in zip(model.pasts, model.presents, self._buffers, strict=True):
            _give(binding, past, buffer[start:stop])
            _take(binding, present, buffer[start:stop])
        if n <= SMALL:
            if len(self._bound) >= BINDINGS:
                self._bound.clear()
            self._bound[key] = (binding, ids, logits)
        return binding, ids, logits


def _give(binding: Any, name: str, array: np.ndarray[Any, Any]) -> None:
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _take(binding: Any, name: str, array: np.ndarray[Any, Any]) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
