"""An encoder-decoder of transformers (T5, BART, ...) from a folder or the hub: it answers, and scores given texts.

Writing is transformers' own `generate` without beams; what it reads is the request's messages as plain text. Its
likelihood of a text after another is what BARTScore (arXiv 2106.11520) is made of. Checked against the plain forward
pass of small random T5 and BART models; not tried on a GPU.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Can, Endpoint, Reply, Request, Usage, content_text
from ..errors import BadInput, CannotDo, SpratError
from ..prices import Price, cost
from ..whitebox.library import library
from ..whitebox.sampling import Sampling
from .transformers import DTYPES, QuietBars, device_of, tried

Floats = NDArray[np.float64]


class LoadedSeq2Seq:
    """Weights in memory with their tokenizer: what equal endpoints share."""

    def __init__(self, torch: Any, model: Any, tokenizer: Any) -> None:
        self.torch, self.model, self.tokenizer = torch, model.eval(), tokenizer
        self.special = frozenset(int(i) for i in tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        positions: Any = getattr(model.config, "max_position_embeddings", None)
        self.positions: int | None = None if positions is None else int(positions)


@dataclass(frozen=True, repr=False)
class Seq2Seq(Endpoint):
    """An encoder-decoder by folder or hub id; weights are loaded at the first question, once for equal endpoints.

    `device`, `dtype`, `download` are as for transformers; `at_once` is how many rows are read together.
    """

    name: str
    path: str = ""
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    download: bool = True
    price: Price | None = field(default=None, repr=False)
    max_tokens: int = 64
    at_once: int = 16
    use = "seq2seq"
    offline = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or self.at_once < 1 or self.max_tokens < 1:
            raise BadInput(f"dtype is '{self.dtype}', at_once {self.at_once} and max_tokens {self.max_tokens}.",
                           hint=f"Needed: one of {', '.join(DTYPES)}, and numbers of at least 1.")  # fmt: skip

    @property
    def can(self) -> Can:
        """Log-probabilities of what it writes, and of given texts."""
        return Can.LOGPROBS

    @property
    def loaded(self) -> LoadedSeq2Seq:
        """The weights and the tokenizer, read once; BadInput says why they can't be."""
        key = (self.path or self.name, self.device, self.dtype, self.revision, self.download)
        with _lock:
            if key not in _read:
                _read[key] = _load(self)
            return _read[key]

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The replies: greedy ones together, sampled ones each from its seed; an element may be its request's error."""
        made: list[Reply | Exception | None] = [None] * len(requests)
        greedy: dict[int, list[int]] = {}
        for i, request in enumerate(requests):
            try:
                longest = self._checked(request)
                if Sampling.of(request.options).greedy:
                    greedy.setdefault(longest, []).append(i)
                else:
                    made[i] = self._write([request], longest)[0]
            except SpratError as error:
                made[i] = error
        for longest, rows in greedy.items():
            for start in range(0, len(rows), self.at_once):
                some = rows[start : start + self.at_once]
                for i, reply in zip(some, self._write([requests[k] for k in some], longest), strict=True):
                    made[i] = reply
        return [m for m in made if m is not None]

    def _checked(self, request: Request) -> int:
        """The most tokens of the reply; CannotDo for what it can't write, BadInput for a text that is too long."""
        options = request.options
        for name in ("tools", "response_format", "functions", "stop"):
            if options.get(name):
                raise CannotDo(f"'{self.name}' writes text alone; the request asks for {name}.", hint="Leave it out.")
        if (options.get("n") or 1) != 1:
            raise CannotDo(f"'{self.name}' writes one reply at a time.", hint="Ask again with another seed.")
        self._ids(_said(request))
        longest = int(options.get("max_completion_tokens") or options.get("max_tokens") or self.max_tokens)
        if longest < 1:
            raise BadInput(f"max_tokens is {longest}.", hint="Needed: >= 1.")
        return longest

    def _ids(self, text: str, target: bool = False) -> list[int]:
        loaded = self.loaded
        ids: list[int] = list(loaded.tokenizer(**{"text_target" if target else "text": text})["input_ids"])
        if loaded.positions is not None and len(ids) > loaded.positions:
            raise BadInput(f"A text has {len(ids)} tokens; '{self.name}' reads at most {loaded.positions}.",
                           hint="Shorten it.")  # fmt: skip
        return ids

    def _padded(self, rows: list[list[int]]) -> tuple[Any, Any]:
        """Ids (n, longest) filled up at the right, and where they are real."""
        loaded = self.loaded
        fill = loaded.tokenizer.pad_token_id or 0
        widest = max(map(len, rows))
        ids = loaded.torch.tensor([[*row, *[fill] * (widest - len(row))] for row in rows])
        real = loaded.torch.tensor([[1] * len(row) + [0] * (widest - len(row)) for row in rows])
        return ids.to(loaded.model.device), real.to(loaded.model.device)

    def _write(self, requests: Sequence[Request], longest: int) -> list[Reply]:
        loaded, began = self.loaded, time.perf_counter()
        torch, options = loaded.torch, requests[0].options
        read = [self._ids(_said(r)) for r in requests]
        ids, real = self._padded(read)
        how: dict[str, Any] = {"do_sample": False}
        if not Sampling.of(options).greedy:
            how = {"do_sample": True, "temperature": float(options["temperature"]), "top_k": 0}
            how |= {k: options[k] for k in ("top_p", "top_k", "min_p") if options.get(k) is not None}
        with _lock, torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed((int(options.get("seed") or 0) + requests[0].sample) % 2**63)
            out = loaded.model.generate(
                input_ids=ids, attention_mask=real, max_new_tokens=longest, num_beams=1, output_logits=True,
                return_dict_in_generate=True, **how,
            )  # fmt: skip
        logs = torch.stack(out.logits, 1).float().log_softmax(-1)
        written = out.sequences[:, -logs.shape[1] :]
        told = logs.gather(-1, written[..., None])[..., 0].tolist()
        seconds = (time.perf_counter() - began) / len(requests)
        return [self._reply(r, w, t, seconds) for r, w, t in zip(read, written.tolist(), told, strict=True)]

    def _reply(self, read: list[int], written: list[int], logprobs: list[float], seconds: float) -> Reply:
        tokenizer = self.loaded.tokenizer
        ended = next((i for i, t in enumerate(written) if t == tokenizer.eos_token_id), None)
        kept = [i for i, t in enumerate(written[:ended]) if t not in self.loaded.special]
        ids = [written[i] for i in kept]
        usage = Usage(len(read), len(written[:ended]) + (ended is not None))
        return Reply(
            tokenizer.decode(ids, skip_special_tokens=True).strip(),
            self.name,
            tuple(tokenizer.convert_ids_to_tokens(ids)),
            tuple(logprobs[i] for i in kept),
            finish="length" if ended is None else "stop",
            usage=usage,
            cost=cost(self.price, usage),
            seconds=seconds,
        )

    def likelihoods(self, pairs: Sequence[tuple[str, str]], ended: bool = False) -> list[Floats]:
        """Natural log-probabilities of the tokens of each pair's second text after its first.

        With `ended` those of the special tokens that the tokenizer puts around it too, its end among them, as BARTScore
        counts. Raises BadInput for a text that is too long.
        """
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        found: list[Floats] = [np.zeros(0)] * len(pairs)
        for start in range(0, len(order), self.at_once):
            some = order[start : start + self.at_once]
            for i, values in zip(some, self._scored([pairs[i] for i in some], ended), strict=True):
                found[i] = values
        return found

    def _scored(self, pairs: list[tuple[str, str]], ended: bool) -> list[Floats]:
        loaded = self.loaded
        ids, real = self._padded([self._ids(given) for given, _ in pairs])
        targets = [self._ids(text, target=True) for _, text in pairs]
        labels, _ = self._padded(targets)
        with loaded.torch.inference_mode():
            begun = loaded.model.prepare_decoder_input_ids_from_labels(labels=labels)
            logits = loaded.model(input_ids=ids, attention_mask=real, decoder_input_ids=begun).logits
            logs = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0].cpu().numpy()
        return [
            np.array([v for v, t in zip(row, target, strict=False) if ended or t not in loaded.special], np.float64)
            for row, target in zip(logs, targets, strict=True)
        ]


def _said(request: Request) -> str:
    """The messages' texts, one after another: such models know no roles."""
    return "\n".join(t for m in request.messages if (t := content_text(m.get("content"))))


_read: dict[tuple[Any, ...], LoadedSeq2Seq] = {}
_lock = threading.RLock()  # torch's random state is the process's


def _load(asked: Seq2Seq) -> LoadedSeq2Seq:
    hub = library("transformers", f"The model '{asked.name}'")
    torch = library("torch", f"The model '{asked.name}'")
    path, device = asked.path or asked.name, device_of(torch, asked.device)
    named = "float32" if asked.dtype == "auto" and device.type == "cpu" else asked.dtype
    options: dict[str, Any] = {
        "revision": asked.revision,
        "local_files_only": not asked.download or Path(path).is_dir(),
    }
    with QuietBars(hub):
        config = tried(path, lambda: hub.AutoConfig.from_pretrained(path, **options))
        if not getattr(config, "is_encoder_decoder", False):
            raise BadInput(f"'{path}' is no encoder-decoder.", hint="Take sprat.local(...) for other models.")
        dtype: Any = "auto" if named == "auto" else getattr(torch, named)
        model = tried(
            path, lambda: hub.AutoModelForSeq2SeqLM.from_pretrained(path, config=config, dtype=dtype, **options)
        )
        tokenizer = tried(path, lambda: hub.AutoTokenizer.from_pretrained(path, **options))
    return LoadedSeq2Seq(torch, model.to(device), tokenizer)


def is_seq2seq(path: str | Path) -> bool:
    """Whether a folder's config says that its model is an encoder-decoder."""
    config = Path(path) / "config.json"
    try:
        return bool(json.loads(config.read_text(encoding="utf-8")).get("is_encoder_decoder"))
    except (OSError, ValueError, AttributeError):
        return False


def seq2seq(
    path: str | Path,
    *,
    name: str = "",
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    download: bool = True,
    price: Price | None = None,
    max_tokens: int = 64,
    at_once: int = 16,
) -> Seq2Seq:
    """The encoder-decoder in a folder or on the hub, loaded at once; MissingExtra, or BadInput on why it can't."""
    known = name or (Path(path).resolve().name if Path(path).is_dir() else str(path))
    made = Seq2Seq(known, str(path), device, dtype, revision, download, price, max_tokens, at_once)
    _ = made.loaded
    return made
