"""What all who run a hub model share: libraries, its files' digest, how much it reads, batches of like length."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sprat.errors import BadInput, MissingExtra

_WEIGHTS = (".safetensors", ".bin")
_READ = 1 << 20
_LIMIT = 512
_digests: dict[str, str] = {}


def libraries(what: str) -> Any:
    """The module transformers, with torch there too; MissingExtra says that `what` needs them."""
    try:
        import_module("torch")
        return import_module("transformers")
    except ImportError as missing:
        raise MissingExtra("torch", what) from missing


@contextmanager
def quiet(library: Any) -> Generator[None]:
    """transformers' progress bars on a terminal alone: elsewhere they would only fill logs."""
    logging = library.utils.logging
    silenced = not sys.stderr.isatty() and logging.is_progress_bar_enabled()
    if silenced:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if silenced:
            logging.enable_progress_bar()


def longest(tokenizer: Any, config: Any) -> int:
    """The tokens that fit: tokenizers may say 10^30, which is what breaks others; positions then decide."""
    told = [int(n) for n in (tokenizer.model_max_length,) if n < 1e6]
    places = getattr(config, "max_position_embeddings", None)
    if isinstance(places, int) and places > 0:
        told.append(places - (2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0))
    return min(told, default=_LIMIT)


def batches(lengths: list[int], budget: int) -> Iterator[list[int]]:
    """Places of rows of nearly one length, the longest first, `budget` tokens at most with the padding."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def digest(model: str, what: str, fetch: Callable[[], object]) -> str:
    """SHA-256 over the files that decide a result: configuration, tokenizer, weights; the first 32 digits.

    `fetch` brings the weights of a model by name where only its configuration is there; `what` names it in errors.
    """
    if model in _digests:
        return _digests[model]
    folder = Path(model)
    if not folder.is_dir():
        hub: Any = import_module("transformers.utils", libraries(what).__name__)
        try:
            folder = Path(hub.cached_file(model, "config.json")).parent
            if not any(p.suffix in _WEIGHTS for p in folder.iterdir()):
                fetch()
        except OSError as broken:
            hint = "Check the name, the network, or give the folder of a downloaded model."
            raise BadInput(f"{what} is not there: {broken}.", hint=hint) from broken
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".txt", ".model", *_WEIGHTS))
    if any(p.suffix == ".safetensors" for p in files):
        files = [p for p in files if p.suffix != ".bin"]
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.name}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_READ):
                found.update(block)
    return _digests.setdefault(model, found.hexdigest()[:32])
