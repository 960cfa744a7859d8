"""Any causal language model of transformers, from a folder or the hub, as a decoder: sprat's own loop over its forward.

"auto" is float32 on a CPU and the checkpoint's own type on CUDA. On a CPU bfloat16 rounds coarsely, and whether it pays
depends on model and machine: one look on a CPU with bfloat16 instructions gave 0.7 times the speed at 1 M parameters
and 1.1 to 1.7 times at 27 M; others were not tried. Say dtype="bfloat16" where it pays. Checked against
transformers.generate token by token (tests/endpoints/test_transformers.py); not tried on a GPU.
"""

from __future__ import annotations

import sys
import threading
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import BadInput, SpratError
from ..prices import Price
from ..whitebox.decoder import Leaf
from ..whitebox.hub_vocabulary import HubVocabulary, ends_of
from ..whitebox.library import library
from ..whitebox.torch_session import TorchModel, TorchSession

DTYPES = ("auto", "float32", "bfloat16", "float16")
WHERE = "Give the folder of a model (config.json beside its weights) or a hub id such as HuggingFaceTB/SmolLM2-135M."


class Loaded:
    """Weights in memory with their tokenizer: what equal endpoints share."""

    def __init__(self, model: TorchModel, vocabulary: HubVocabulary) -> None:
        self.model, self.vocabulary = model, vocabulary

    @cached_property
    def fingerprint(self) -> int:
        """A checksum of the first values of every weight."""
        found = 0
        for weight in self.model.model.parameters():
            first = weight.detach().flatten()[:64].float().cpu().numpy()
            found = zlib.crc32(first.tobytes(), found)
        return found

    @cached_property
    def parameters(self) -> int:
        """How many numbers the weights are; shared ones count once."""
        return sum(weight.numel() for weight in self.model.model.parameters())


@dataclass(frozen=True, repr=False)
class Transformers(Leaf):
    """A causal language model by folder or hub id; weights are loaded at the first question, once for equal endpoints.

    `device` is "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...; `dtype` one of DTYPES. With
    `download=False` the network is never asked: the folder or the hub's cache must hold everything. A folder never
    needs the network. `at_once` is how many rows are decoded together: lower it where memory is short.
    """

    name: str
    path: str = ""
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False
    download: bool = True
    price: Price | None = field(default=None, repr=False)
    max_tokens: int = 256
    at_once: int = 32  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
    use = "transformers"
    offline = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BadInput(f"There is no dtype '{self.dtype}'.", hint=f"Known: {', '.join(DTYPES)}.")
        if self.at_once < 1 or self.max_tokens < 1:
            raise BadInput(f"at_once is {self.at_once} and max_tokens {self.max_tokens}.", hint="Needed: >= 1.")

    @property
    def loaded(self) -> Loaded:
        """The weights and the tokenizer, read once; BadInput says why they can't be."""
        key = (self.path or self.name, self.device, self.dtype, self.revision, self.trust_remote_code, self.download)
        with _lock:
            if key not in _read:
                _read[key] = _load(self)
            return _read[key]

    def unload(self) -> None:
        """Let go of the weights; the next question loads them again."""
        with _lock:
            for key in [k for k in _read if k[0] == (self.path or self.name)]:
                del _read[key]

    @property
    def vocabulary(self) -> HubVocabulary:
        """Its tokens."""
        return self.loaded.vocabulary

    @property
    def positions(self) -> int | None:
        """How many tokens it reads at most, by its config."""
        return self.loaded.model.positions

    @property
    def fingerprint(self) -> int:
        """A number of its weights."""
        return self.loaded.fingerprint

    @property
    def parameters(self) -> int:
        """How many numbers its weights are."""
        return self.loaded.parameters

    def open(self, batch: int) -> TorchSession:
        """An empty session of `batch` rows."""
        return self.loaded.model.session(batch)


_read: dict[tuple[Any, ...], Loaded] = {}
_lock = threading.Lock()


def _load(asked: Transformers) -> Loaded:
    hub = library("transformers", f"The model '{asked.name}'")
    torch = library("torch", f"The model '{asked.name}'")
    path, device = asked.path or asked.name, device_of(torch, asked.device)
    named = "float32" if asked.dtype == "auto" and device.type == "cpu" else asked.dtype
    dtype: Any = "auto" if named == "auto" else getattr(torch, named)
    options: dict[str, Any] = {
        "revision": asked.revision,
        "trust_remote_code": asked.trust_remote_code,
        "local_files_only": not asked.download or Path(path).is_dir(),
    }
    if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
        raise BadInput(f"'{path}' is a folder without a config.json.", hint=WHERE)
    with QuietBars(hub):
        config = tried(path, lambda: hub.AutoConfig.from_pretrained(path, **options))
        _check_kind(hub, path, config, asked.trust_remote_code)
        made = tried(
            path,
            lambda: hub.AutoModelForCausalLM.from_pretrained(
                path, config=config, dtype=dtype, output_loading_info=True, **options
            ),
        )
        model, told = made
        if told["missing_keys"]:
            some = ", ".join(sorted(told["missing_keys"])[:3])
            raise BadInput(
                f"'{path}' lacks weights of its own model: {some}.", hint="Is it a base model or an adapter?"
            )
        tokenizer = tried(path, lambda: hub.AutoTokenizer.from_pretrained(path, **options))
    try:
        model = model.to(device)
    except torch.OutOfMemoryError as full:
        raise BadInput(
            f"'{path}' does not fit on {device}.", hint='Take dtype="bfloat16", a smaller model, or another device.'
        ) from full
    return Loaded(TorchModel(model, asked.name), HubVocabulary(tokenizer, ends_of(model), asked.name))


def device_of(torch: Any, named: str) -> Any:
    """The device of this name; BadInput where torch does not see it."""
    if named == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(named)
    except RuntimeError as unknown:
        raise BadInput(f"There is no device '{named}'.", hint="Known: auto, cpu, cuda, cuda:0, ...") from unknown
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInput(
            f"Device '{named}' is not here: torch sees {torch.cuda.device_count()} CUDA devices.",
            hint='Take device="auto", or install torch with CUDA.',
        )
    return device


def _check_kind(hub: Any, path: str, config: Any, trusted: bool) -> None:
    causal = set(hub.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    named = set(config.architectures or ())
    foreign = trusted and bool(getattr(config, "auto_map", None))
    if foreign or (
        named & causal
        if named
        else config.model_type in hub.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    ):
        return
    kind = ", ".join(sorted(named)) or config.model_type
    raise BadInput(
        f"'{path}' is no causal language model but {kind}.", hint="Needed: one that writes text left to right."
    )


def tried(path: str, step: Any) -> Any:
    """What the library gives, or a sentence on why it could not."""
    try:
        return step()
    except SpratError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        said = str(error).strip()
        first = said.splitlines()[0].rstrip(". ") if said else type(error).__name__
        if "trust_remote_code" in said:
            raise BadInput(
                f"'{path}' brings code of its own.", hint="Read it, then say trust_remote_code=True if you trust it."
            ) from error
        if isinstance(error, OSError) and not Path(path).is_dir():
            raise BadInput(
                f"'{path}' is neither a folder here nor a model that could be had from the hub.",
                hint=f"{WHERE} Is there a network? Is the model gated (HF_TOKEN)?",
            ) from error
        raise BadInput(f"'{path}' can't be loaded: {first}.", hint="Is the folder complete?") from error


class QuietBars:
    """transformers' progress bars, on a terminal alone."""

    def __init__(self, hub: Any) -> None:
        self.logging = hub.utils.logging
        self.silenced = not sys.stderr.isatty() and self.logging.is_progress_bar_enabled()

    def __enter__(self) -> None:
        if self.silenced:
            self.logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        if self.silenced:
            self.logging.enable_progress_bar()


def transformers(
    path: str | Path,
    *,
    name: str = "",
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    download: bool = True,
    price: Price | None = None,
    max_tokens: int = 256,
    at_once: int = 32,
) -> Transformers:
    """The causal language model in a folder or on the hub, loaded at once; MissingExtra, or BadInput on why it can't.

    Its name is the folder's, or the hub id, unless given.
    """
    known = name or (Path(path).resolve().name if Path(path).is_dir() else str(path))
    made = Transformers(
        known, str(path), device, dtype, revision, trust_remote_code, download, price, max_tokens, at_once
    )
    _ = made.loaded
    return made
