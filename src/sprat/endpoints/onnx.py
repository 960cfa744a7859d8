"""A model exported to ONNX as a decoder on a CPU: faster than torch for small models (benchmarks/onnx_speed.py).

Only a folder that was compared with its weights is taken (sprat.whitebox.export_onnx), and only while its files are the
ones compared. Checked against the transformers endpoint token by token (tests/endpoints/test_onnx_endpoint.py).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput, MissingExtra
from ..prices import Price
from ..whitebox.decoder import Leaf
from ..whitebox.hub_vocabulary import HubVocabulary
from ..whitebox.onnx_export import checked
from ..whitebox.onnx_session import OnnxModel, OnnxSession


class Exported:
    """An export in memory with its tokenizer: what equal endpoints share."""

    def __init__(self, path: str, threads: int | None, name: str) -> None:
        record = checked(path)
        self.fingerprint = int(record["model_sha256"][:8], 16)
        self.model = OnnxModel(path, int(record["vocabulary"]), threads, name)
        self.vocabulary = HubVocabulary(_tokenizer(path, name), _ends(Path(path)), name)


@dataclass(frozen=True, repr=False)
class Onnx(Leaf):
    """An exported causal language model; it is loaded at the first question, once for equal endpoints.

    `path` is the export's folder (default: `name`). `threads` default to OMP_NUM_THREADS, else to onnxruntime's choice.
    BadInput for a folder that was not compared with its weights, or was changed since.
    """

    name: str
    path: str = ""
    threads: int | None = None
    price: Price | None = field(default=None, repr=False)
    max_tokens: int = 256
    use = "onnx"
    offline = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or (self.threads is not None and self.threads < 1):
            raise BadInput(f"max_tokens is {self.max_tokens} and threads {self.threads}.", hint="Needed: >= 1.")

    @property
    def loaded(self) -> Exported:
        """The graph and the tokenizer, read once."""
        path = self.path or self.name
        key = (path, self.threads)
        with _lock:
            if key not in _read:
                _read[key] = Exported(path, self.threads, self.name)
            return _read[key]

    def unload(self) -> None:
        """Let go of the graph; the next question loads and checks it again."""
        with _lock:
            _read.pop((self.path or self.name, self.threads), None)

    @property
    def vocabulary(self) -> HubVocabulary:
        """Its tokens."""
        return self.loaded.vocabulary

    @property
    def positions(self) -> int:
        """How many tokens it reads at most."""
        return self.loaded.model.positions

    @property
    def fingerprint(self) -> int:
        """A number of its weights."""
        return self.loaded.fingerprint

    def open(self, batch: int) -> OnnxSession:
        """An empty session of `batch` rows."""
        return self.loaded.model.session(batch)


_read: dict[tuple[str, int | None], Exported] = {}
_lock = threading.Lock()


def _tokenizer(path: str, name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("onnx", f"The tokenizer of '{name}'") from error
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"'{path}' holds no tokenizer that can be read.", hint="Export the model again.") from error


def _ends(path: Path) -> frozenset[int]:
    """The ids that end a reply, by the export's configs: each names a number, a list or nothing."""
    found: set[int] = set()
    for name in ("generation_config.json", "config.json", "genai_config.json"):
        if (path / name).is_file():
            config: dict[str, Any] = json.loads((path / name).read_text(encoding="utf-8"))
            named: Any = config.get("model", config).get("eos_token_id")
            found.update([named] if isinstance(named, int) else named or [])
    return frozenset(found)


def onnx(
    path: str | Path, *, name: str = "", threads: int | None = None, price: Price | None = None, max_tokens: int = 256
) -> Onnx:
    """The model that sprat.whitebox.export_onnx put into `path`; BadInput where there is none, MissingExtra too."""
    made = Onnx(name or Path(path).name, str(path), threads, price, max_tokens)
    _ = made.loaded
    return made
