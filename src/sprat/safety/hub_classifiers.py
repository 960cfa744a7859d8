"""Any text classifier or token classifier from the hub as a safety scorer; long texts in windows, the largest counts.

Needs sprat[torch]. Which of its labels are unsafe is named, or read from their names where these leave no doubt. Where
labels exclude each other their probabilities add up; where a model judges each by itself, the largest counts. They are
as its authors left them, so audit them on rows of yours (`sprat audit`). Checked on models of random weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..encoders.hub_files import batches, libraries, longest, quiet
from ..errors import BadInput, nearest
from .scorer import Floats, Span, texts_of

_UNSAFE = frozenset(
    {
        "toxic", "toxicity", "severe_toxic", "severe_toxicity", "hate", "hateful", "hate_speech", "offensive", "unsafe",
        "abusive", "insult", "threat", "obscene", "identity_attack", "identity_hate", "sexual_explicit", "nsfw",
        "injection", "prompt_injection", "jailbreak", "malicious", "harmful", "profanity", "flagged",
    }
)  # fmt: skip
_SAFE = frozenset(
    {
        "safe", "neutral", "benign", "legit", "clean", "normal", "ok", "non_toxic", "not_toxic", "nontoxic", "not_hate",
        "non_hate", "nothate", "not_offensive", "non_offensive", "no_injection", "harmless", "neither", "sfw", "none",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Loaded:
    tokenizer: Any
    network: Any
    labels: tuple[str, ...]
    unsafe: tuple[int, ...]
    many: bool
    tags: bool
    limit: int


class _Window(NamedTuple):
    owner: int
    rows: Mapping[str, list[int]]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class HubScorer:
    """A classifier by name or folder; `unsafe` are the labels that count (empty: read from their names).

    `batch_tokens` are in one batch, padding included; they change no probability beyond rounding.
    """

    model: str
    unsafe: tuple[str, ...] = ()
    device: str = "cpu"
    batch_tokens: int = 4096

    @property
    def name(self) -> str:
        """hub:NAME."""
        return f"hub:{self.model}"

    @property
    def worth(self) -> Mapping[str, Any]:
        """Nothing was measured here: see the model's own page, or audit it."""
        return {}

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """P(unsafe) of each text (n,), the largest of its windows; 0 for one without a token.

        MissingExtra without torch; BadInput for an unknown model, labels that leave doubt, or an item that is no str.
        """
        out = np.zeros(len(found := texts_of(texts)))
        for window, p in self._judged(found):
            out[window.owner] = max(out[window.owner], float(self._unsafe(p).max(initial=0.0)))
        return out

    def spans(self, text: str) -> list[Span]:
        """A token classifier's places, of each the mean probability; of a text classifier the windows of .5 or more.

        Empty for a text that is one window: a text classifier does not say which of its words count.
        """
        found = list(self._judged(texts_of([text])))
        loaded = _load(self.model, self.unsafe, self.device)
        if loaded.tags:
            return _merged([s for window, p in found for s in self._tagged(loaded, window, p)])
        scores = [float(self._unsafe(p).max()) for _, p in found]
        ends = [(w.offsets[0][0], w.offsets[-1][1]) for w, _ in found]
        kind = "+".join(loaded.labels[i] for i in loaded.unsafe)
        return [Span(*e, kind, s) for e, s in zip(ends, scores, strict=True) if s >= 0.5] if len(found) > 1 else []

    def _unsafe(self, p: Floats) -> Floats:
        """The probability that each row (n, labels) is unsafe, (n,)."""
        loaded = _load(self.model, self.unsafe, self.device)
        kept = p[:, list(loaded.unsafe)]
        return kept.max(axis=1) if loaded.many else np.minimum(kept.sum(axis=1), 1.0)

    def _tagged(self, loaded: _Loaded, window: _Window, p: Floats) -> Iterator[Span]:
        for (start, end), row in zip(window.offsets, p, strict=True):
            best = int(row.argmax())
            if best in loaded.unsafe:
                yield Span(start, end, _kind(loaded.labels[best]), float(row[list(loaded.unsafe)].sum()))

    def _judged(self, texts: list[str]) -> Iterator[tuple[_Window, Floats]]:
        """Each window with its probabilities: (1, labels) of a text classifier, (tokens, labels) of a tagger."""
        loaded = _load(self.model, self.unsafe, self.device)
        torch: Any = import_module("torch")
        cut = [w for i, text in enumerate(texts) for w in _windows(loaded, i, text)]
        for batch in batches([len(w.rows["input_ids"]) for w in cut], self.batch_tokens):
            asked = [dict(cut[i].rows) for i in batch]
            put = loaded.tokenizer.pad(asked, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                logits = loaded.network(**put).logits.double()
                found = (torch.sigmoid(logits) if loaded.many else torch.softmax(logits, -1)).cpu().numpy()
            for place, i in enumerate(batch):
                window, rows = cut[i], found[place]
                if loaded.tags:
                    kept = [k for k, (a, b) in enumerate(window.offsets) if b > a]
                    offsets = [window.offsets[k] for k in kept]
                    yield window._replace(offsets=offsets), rows[kept]
                else:
                    offsets = [o for o in window.offsets if o[1] > o[0]]
                    yield window._replace(offsets=offsets), rows[None]


def _windows(loaded: _Loaded, owner: int, text: str) -> Iterator[_Window]:
    """Windows of the model's limit that overlap by a quarter; none for a text without a token."""
    found: Any = loaded.tokenizer(
        text, truncation=True, max_length=loaded.limit, stride=loaded.limit // 4, return_overflowing_tokens=True,
        return_offsets_mapping=True, verbose=False,
    )  # fmt: skip
    for i, places in enumerate(found["offset_mapping"]):
        offsets = [(int(a), int(b)) for a, b in places]
        if any(b > a for a, b in offsets):
            read = {k: found[k][i] for k in loaded.tokenizer.model_input_names if k in found}
            yield _Window(owner, read, offsets)


def _kind(label: str) -> str:
    """A tag's kind: 'B-PER' is PER."""
    return label[2:] if label[:2].upper() in ("B-", "I-", "E-", "S-", "L-", "U-") else label


def _merged(found: list[Span]) -> list[Span]:
    """Neighbours of one kind as one, with their mean score; what two windows both saw counts once."""
    best: dict[tuple[int, int], Span] = {}
    for span in found:
        held = best.get((span.start, span.end))
        best[span.start, span.end] = span if held is None or span.score > held.score else held
    out = list[list[Span]]()
    for span in sorted(best.values()):
        if out and out[-1][-1].kind == span.kind and span.start - out[-1][-1].end <= 1:
            out[-1].append(span)
        else:
            out.append([span])
    return [Span(g[0].start, g[-1].end, g[0].kind, sum(s.score for s in g) / len(g)) for g in out]


@lru_cache(maxsize=4)
def _load(model: str, unsafe: tuple[str, ...], device: str) -> _Loaded:
    library = libraries(f"The classifier '{model}'")
    try:
        config: Any = library.AutoConfig.from_pretrained(model)
        tags = any("TokenClassification" in a for a in config.architectures or ())
        tokenizer: Any = library.AutoTokenizer.from_pretrained(
            model, **({"add_prefix_space": True} if tags and config.model_type == "roberta" else {})
        )
        kind = "AutoModelForTokenClassification" if tags else "AutoModelForSequenceClassification"
        with quiet(library):
            network: Any = getattr(library, kind).from_pretrained(model).eval()
    except (OSError, ValueError) as broken:
        hint = "Check the name, the network, or give the folder of a downloaded model."
        raise BadInput(f"The classifier '{model}' could not be loaded: {broken}.", hint=hint) from broken
    if not tokenizer.is_fast:
        raise BadInput(f"The tokenizer of '{model}' does not say where its tokens stand.", hint="Take a fast one.")
    labels = tuple(str(config.id2label[i]) for i in range(int(config.num_labels)))
    chosen = unsafe_labels(model, labels, unsafe, tags)
    many = not tags and (config.problem_type == "multi_label_classification" or len(labels) == 1)
    return _Loaded(tokenizer, network.to(device), labels, chosen, many, tags, longest(tokenizer, config))


def unsafe_labels(model: str, labels: Sequence[str], named: Sequence[str], tags: bool) -> tuple[int, ...]:
    """The outputs that count: those `named`, else those whose names say so; BadInput where that leaves doubt."""
    if named:
        kinds = [_kind(label) if tags else label for label in labels]
        for name in named:
            if name not in labels and name not in kinds:
                raise BadInput(f"'{model}' has no label '{name}'.", hint=nearest(name, {*labels, *kinds}))
        return tuple(i for i, label in enumerate(labels) if label in named or kinds[i] in named)
    if tags:
        return tuple(i for i, label in enumerate(labels) if label.upper() not in ("O", "OTHER", "NONE"))
    plain = [label.strip().lower().replace("-", "_").replace(" ", "_") for label in labels]
    found = tuple(i for i, label in enumerate(plain) if label in _UNSAFE)
    if not found or not all(label in _UNSAFE | _SAFE for label in plain):
        raise BadInput(
            f"The labels of '{model}' are {', '.join(labels[:12])}: which are unsafe does not follow.",
            hint=f"Name them: hub('{model}', unsafe=['{labels[-1]}']), or hub:{model}={labels[-1]}.",
        )
    return found


def hub(model: str, unsafe: Sequence[str] = (), *, device: str = "cpu") -> HubScorer:
    """A classifier from the hub, such as unitary/toxic-bert, or a folder of one; `unsafe` are the labels that count."""
    if isinstance(unsafe, str):
        raise BadInput("hub takes a list of labels.", hint=f"Write unsafe=['{unsafe}'].")
    return HubScorer(model, tuple(unsafe), device)
