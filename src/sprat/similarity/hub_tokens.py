"""The contextual token vectors of any transformers encoder, at a layer of choice; long texts in overlapping windows.

BERTScore's encoders (arXiv 1904.09675). A text past the encoder's limit is read in windows that overlap by a
quarter, and each token has its vector from the window in which it stands deeper. Checked against
the package bert-score in benchmarks/bertscore.py, on texts within the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from ..encoders.hub_files import batches, digest, libraries, longest, quiet
from ..encoders.protocol import Rows, check_texts
from ..errors import BadInput
from .token_vectors import Tokens

# The layer whose F agrees best with people on WMT16, as the package bert-score measured it (utils.model2layers).
TUNED = {
    "bert-base-uncased": 9, "bert-large-uncased": 18, "bert-base-multilingual-cased": 9, "roberta-base": 10,
    "roberta-large": 17, "roberta-large-mnli": 19, "distilroberta-base": 5, "distilbert-base-uncased": 5,
    "albert-base-v2": 9, "xlm-roberta-base": 9, "xlm-roberta-large": 17, "microsoft/deberta-large-mnli": 18,
    "microsoft/deberta-xlarge-mnli": 40, "microsoft/deberta-v3-xsmall": 10,
}  # fmt: skip
_SPACED = frozenset({"roberta", "gpt2", "longformer", "bart"})  # their first word has a space before it, as any other


@dataclass(frozen=True, eq=False)
class _Loaded:
    tokenizer: Any
    network: Any
    before: list[int]
    after: list[int]
    limit: int
    marks: frozenset[int]


@dataclass(frozen=True)
class HubTokens:
    """Layer `layer` of a model by name or folder (None: as tuned for BERTScore, else the last).

    Texts are batched by length, `batch_tokens` in one batch; neither this nor the device changes a vector beyond
    rounding.
    """

    model: str
    layer: int | None = None
    device: str = "cpu"
    batch_tokens: int = 4096

    @property
    def name(self) -> str:
        """The first half of the SHA-256 of the model's files, and the layer; BadInput where the model is not there."""
        what = f"The token encoder '{self.model}'"
        found = digest(self.model, what, lambda: _load(self.model, self._layer, "cpu"))
        return f"hub-{found}-L{self._layer}"

    @property
    def _layer(self) -> int:
        return self.layer if self.layer is not None else TUNED.get(self.model, -1)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens with vectors (n, d); MissingExtra without torch and transformers, BadInput for an unknown model."""
        found = [text.strip() for text in check_texts(texts)]
        if not found:
            return []
        loaded = _load(self.model, self._layer, self.device)
        inner: list[list[int]] = loaded.tokenizer(found, add_special_tokens=False, verbose=False)["input_ids"]
        parts = [list(_windows(len(ids), loaded.limit)) for ids in inner]
        jobs = [(i, w) for i, windows in enumerate(parts) for w in range(len(windows))]
        rows = [[*loaded.before, *inner[i][slice(*parts[i][w][:2])], *loaded.after] for i, w in jobs]
        vectors = dict(zip(jobs, self._vectors(loaded, rows), strict=True))
        out: list[Tokens] = []
        b, a = len(loaded.before), len(loaded.after)
        for i, ids in enumerate(inner):
            kept: list[Rows] = []
            for w, (start, _, first, last) in enumerate(parts[i]):
                whole, ends = vectors[i, w], w == len(parts[i]) - 1
                kept.append(whole[0 if w == 0 else b + first - start : b + last - start + (a if ends else 0)])
            full = np.array([*loaded.before, *ids, *loaded.after], np.int32)
            marked = np.isin(full, list(loaded.marks))
            out.append(Tokens(full, ~marked, kept[0] if len(kept) == 1 else np.concatenate(kept)))
        return out

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text; BadInput for a tokenizer that does not say."""
        loaded = _load(self.model, self._layer, self.device)
        lead = len(text) - len(text.lstrip())
        try:
            found: list[tuple[int, int]] = loaded.tokenizer(
                text.strip(), add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
        except NotImplementedError as error:
            raise BadInput(f"The tokenizer of '{self.model}' does not say where its tokens stand.") from error
        inner = [(int(start) + lead, int(end) + lead) for start, end in found]
        return [*((0, 0) for _ in loaded.before), *inner, *((0, 0) for _ in loaded.after)]

    def _vectors(self, loaded: _Loaded, rows: list[list[int]]) -> list[Rows]:
        """Unit vectors of each row of ids, in order."""
        torch: Any = import_module("torch")
        pad = int(loaded.tokenizer.pad_token_id or 0)
        out: list[Rows] = [np.empty((0, 0), np.float32)] * len(rows)
        for batch in batches([len(r) for r in rows], self.batch_tokens):
            longest = max(len(rows[i]) for i in batch)
            ids = np.full((len(batch), longest), pad, np.int64)
            mask = np.zeros((len(batch), longest), np.int64)
            for at, i in enumerate(batch):
                ids[at, : len(rows[i])] = rows[i]
                mask[at, : len(rows[i])] = 1
            with torch.inference_mode():
                put = [torch.from_numpy(x).to(self.device) for x in (ids, mask)]
                hidden = loaded.network(input_ids=put[0], attention_mask=put[1])[0].float()
                found = torch.nn.functional.normalize(hidden, dim=-1).cpu().numpy()
            for at, i in enumerate(batch):
                out[i] = found[at, : len(rows[i])].copy()
        return out


def _windows(n: int, limit: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows over n tokens: (start, end, first kept, end of kept); what is kept joins without gap."""
    if n <= limit:
        yield 0, n, 0, n
        return
    overlap = max(1, limit // 4)
    start, kept = 0, 0
    while True:
        end = min(start + limit, n)
        after = min(end - overlap, n - limit)
        last = n if end == n else (after + end) // 2  # the middle of what two windows share
        yield start, end, kept, last
        if end == n:
            return
        kept, start = last, after


@lru_cache(maxsize=2)
def _load(model: str, layer: int, device: str) -> _Loaded:
    library = libraries(f"The token encoder '{model}'")
    try:
        config: Any = library.AutoConfig.from_pretrained(model)
        spaced = {"add_prefix_space": True} if config.model_type in _SPACED else {}
        tokenizer: Any = library.AutoTokenizer.from_pretrained(model, **spaced)
        with quiet(library):
            network: Any = library.AutoModel.from_pretrained(model).eval()
    except (OSError, ValueError) as broken:
        hint = "Check the name, the network, or give the folder of a downloaded model."
        raise BadInput(f"The token encoder '{model}' could not be loaded: {broken}.", hint=hint) from broken
    if config.is_encoder_decoder:
        network = network.encoder if hasattr(network, "encoder") else network.get_encoder()
    _cut(network, model, layer)
    one = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    at = next((i for i in range(len(whole)) if whole[i : i + len(one)] == one), 0)
    before, after = whole[:at], whole[at + len(one) :]
    named = {tokenizer.cls_token_id, tokenizer.sep_token_id} - {None}
    return _Loaded(
        tokenizer, network.to(device), before, after, longest(tokenizer, config) - len(before) - len(after),
        frozenset(int(i) for i in named),
    )  # fmt: skip


def _cut(network: Any, model: str, layer: int) -> None:
    """Take off the layers above the one asked for."""
    torch: Any = import_module("torch")
    count = int(getattr(network.config, "num_hidden_layers", 0) or network.config.num_layers)
    if not (-1 <= layer <= count) or layer == 0:
        raise BadInput(f"'{model}' has layers 1 to {count}; {layer} was asked for.", hint="Choose one, or None.")
    if layer in (-1, count):
        return
    network.config.num_hidden_layers = layer  # models that share one layer's weights count by this
    for part in network.modules():
        for name, inner in list(part.named_children()):
            if isinstance(inner, torch.nn.ModuleList) and len(inner) == count:
                setattr(part, name, inner[:layer])
