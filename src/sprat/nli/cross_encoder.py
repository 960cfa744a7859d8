"""Any cross-encoder from the hub as an inference model: the order of its labels read, not guessed; long pairs said.

Needs sprat[torch]. Pairs are judged in batches of like length. A model with two labels (entailment, and not) has its
"not" as neutral: it does not say contradiction, and `worth` says so. Checked on models of random weights, pair by pair
(tests/nli/test_cross_encoder.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

import numpy as np

from ..encoders.hub_files import batches, digest, libraries, longest, quiet
from ..errors import BadInput
from .protocol import Floats, Pair, Worth, check_pairs

_MEANINGS = {
    "entailment": 0, "entail": 0, "entails": 0, "entailed": 0, "supported": 0, "support": 0, "supports": 0,
    "aligned": 0, "consistent": 0, "neutral": 1, "contradiction": 2, "contradict": 2, "contradicts": 2,
    "contradictory": 2, "not_entailment": 3, "not_entailed": 3, "non_entailment": 3, "unsupported": 3,
    "not_supported": 3, "not_aligned": 3, "inconsistent": 3, "hallucinated": 3,
}  # fmt: skip


class Shortened(UserWarning):
    """Premises were cut to what a model can read."""


@dataclass(frozen=True, eq=False)
class _Loaded:
    tokenizer: Any
    network: Any
    classes: tuple[int, ...]  # of each output: 0, 1, 2, or 3 for "not entailment"
    limit: int


@dataclass(frozen=True)
class HubNli:
    """A sequence classifier by name or folder; `long` says what happens to a pair past its limit.

    "refuse" raises BadInput; "truncate" cuts the premise's end, with the warning Shortened. `labels` names the outputs
    in order where the model does not. `batch_tokens` are in one batch, padding included.
    """

    model: str
    device: str = "cpu"
    long: Literal["refuse", "truncate"] = "refuse"
    labels: tuple[str, ...] = ()
    batch_tokens: int = 4096

    @property
    def name(self) -> str:
        """The first half of the SHA-256 of the model's files, and what changes its probabilities."""
        told = "".join(f"-{label}" for label in self.labels)
        what = f"The inference model '{self.model}'"
        found = digest(self.model, what, lambda: _load(self.model, self.labels, "cpu"))
        return f"nli-hub-{found}{'-cut' if self.long == 'truncate' else ''}{told}"

    @property
    def worth(self) -> Worth:
        """Unknown here: what its authors measured stands on its page."""
        two = 3 in _load(self.model, self.labels, self.device).classes
        says = " It says entailment or not: its 'not' stands as neutral; it never says contradiction." if two else ""
        return Worth(f"'{self.model}' is as its authors measured it; nobody measured it here.{says}")

    def probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """Probabilities (n, 3); MissingExtra without torch, BadInput for an unknown model or too long a pair."""
        asked = check_pairs(pairs)
        out = np.zeros((len(asked), 3))
        if not asked:
            return out
        torch: Any = import_module("torch")
        loaded = _load(self.model, self.labels, self.device)
        rows = self._rows(loaded, asked)
        places = np.minimum(loaded.classes, 1) if 3 in loaded.classes else np.array(loaded.classes)
        for batch in batches([len(r["input_ids"]) for r in rows], self.batch_tokens):
            put = loaded.tokenizer.pad([rows[i] for i in batch], return_tensors="pt").to(self.device)
            with torch.inference_mode():
                found = torch.softmax(loaded.network(**put).logits.double(), -1).cpu().numpy()
            out[np.array(batch)[:, None], places[None, :]] = found
        return out

    def _rows(self, loaded: _Loaded, asked: list[Pair]) -> list[dict[str, list[int]]]:
        """The pairs as ids, with what else the model reads; those past the limit refused or cut."""
        ready: Mapping[str, list[list[int]]] = loaded.tokenizer(
            [p for p, _ in asked], [h for _, h in asked], truncation=False, verbose=False
        )
        rows = [{k: v[i] for k, v in ready.items()} for i in range(len(asked))]
        past = [i for i, row in enumerate(rows) if len(row["input_ids"]) > loaded.limit]
        if not past:
            return rows
        longest_row = max(len(rows[i]["input_ids"]) for i in past)
        said = f"{len(past):,} of {len(asked):,} pairs are past the {loaded.limit} tokens of '{self.model}'"
        if self.long == "refuse":
            raise BadInput(f"{said}; the longest has {longest_row:,}.", hint='Cut them, or say long="truncate".')
        for i in past:
            try:
                cut = loaded.tokenizer(*asked[i], truncation="only_first", max_length=loaded.limit, verbose=False)
            except Exception as error:  # tokenizers raises its own kinds
                raise BadInput(f"Pair {i}: the hypothesis alone is past {loaded.limit} tokens.") from error
            rows[i] = {k: list(v) for k, v in cut.items()}
            if len(rows[i]["input_ids"]) > loaded.limit:
                raise BadInput(f"Pair {i}: the hypothesis alone is past {loaded.limit} tokens.")
        warnings.warn(f"{said}: the ends of their premises were not read.", Shortened, stacklevel=3)
        return rows


@lru_cache(maxsize=2)
def _load(model: str, labels: tuple[str, ...], device: str) -> _Loaded:
    library = libraries(f"The inference model '{model}'")
    try:
        config: Any = library.AutoConfig.from_pretrained(model)
        tokenizer: Any = library.AutoTokenizer.from_pretrained(model)
        with quiet(library):
            network: Any = library.AutoModelForSequenceClassification.from_pretrained(model).eval()
    except (OSError, ValueError) as broken:
        hint = "Check the name, the network, or give the folder of a downloaded model."
        raise BadInput(f"The inference model '{model}' could not be loaded: {broken}.", hint=hint) from broken
    named = labels or tuple(str(config.id2label[i]) for i in range(int(config.num_labels)))
    return _Loaded(tokenizer, network.to(device), classes_of(model, named), longest(tokenizer, config))


def classes_of(model: str, named: Sequence[str]) -> tuple[int, ...]:
    """Which class each output is: 0 entailment, 1 neutral, 2 contradiction, 3 not entailment; BadInput if unclear."""
    found = [_MEANINGS.get(n.strip().lower().replace("-", "_").replace(" ", "_")) for n in named]
    if sorted(f for f in found if f is not None) in ([0, 1, 2], [0, 3]) and len(named) == sum(
        f is not None for f in found
    ):
        return tuple(f for f in found if f is not None)
    raise BadInput(
        f"The labels of '{model}' are {', '.join(named)}: which is entailment does not follow.",
        hint="Name its outputs in order: labels=('contradiction', 'entailment', 'neutral').",
    )


def hub(
    model: str,
    *,
    device: str = "cpu",
    long: Literal["refuse", "truncate"] = "refuse",
    labels: Sequence[str] = (),
) -> HubNli:
    """A cross-encoder from the hub, such as cross-encoder/nli-deberta-v3-base, or a folder of one."""
    return HubNli(model, device, long, tuple(labels))
