"""A folder of weights as an ONNX graph of onnxruntime-genai's model builder, compared with torch before it is kept.

The builder (0.18) takes every linear layer with as many outputs as the vocabulary has tokens for the language-model
head: where hidden_size, or any other layer's outputs, equal vocab_size, its graph is off by several logits and nothing
is said. Such a model is exported with a few empty rows more in its vocabulary, which OnnxModel crops again. Other
defects may be there, so every export is compared in all that a session does: blocks, single tokens, rollbacks, ragged
rows. onnxruntime (1.31) runs heads of 16, 32, ... numbers alone; others fail in the comparison.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, CannotDo, MissingExtra
from .arrays import log_softmax
from .onnx_session import OnnxModel
from .session import Integers

NEEDED = {
    "onnxruntime": "onnxruntime",
    "onnxruntime_genai": "onnxruntime-genai",
    "onnx": "onnx",
    "onnx_ir": "onnx-ir",
    "torch": "torch",
    "transformers": "transformers",
}
PADDING = 16
RECORD = "parity.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from torch: logits (largest absolute), top choices alike (share), KL (mean, nats).

    `own` is how far its ways of reading the same tokens may be apart (block, single tokens, after a rollback).
    """

    logits: float
    top1: float
    kl: float
    own: float


# int4, on the aquarium's mackerel: 0.97, 0.013 and 0.09. A wrong graph or cache: KL above 1, `own` of several logits.
# fp16 is not there: the builder's fp16 graph for CPUs has an attention whose cache can't be written in place.
TOLERANCES = {
    "fp32": Tolerance(logits=1e-3, top1=0.0, kl=float("inf"), own=1e-3),
    "int4": Tolerance(logits=float("inf"), top1=0.80, kl=0.1, own=0.5),
}


@dataclass(frozen=True)
class Parity:
    """What was measured: the export against torch (logits, top1, kl), and against itself (own), over `places`."""

    logits: float
    top1: float
    kl: float
    own: float
    places: int

    def beyond(self, allowed: Tolerance) -> str:
        """What is wrong with it, "" where nothing is. Whatever is not a number is wrong."""
        wrong = [
            f"{what} {found:.3g} ({side} {limit:g} allowed)"
            for what, found, limit, side, sound in (
                (
                    "largest difference of a logit",
                    self.logits,
                    allowed.logits,
                    "at most",
                    self.logits <= allowed.logits,
                ),
                ("share of equal top choices", self.top1, allowed.top1, "at least", self.top1 >= allowed.top1),
                ("mean KL divergence", self.kl, allowed.kl, "at most", self.kl <= allowed.kl),
                (
                    "difference between blocks and single tokens",
                    self.own,
                    allowed.own,
                    "at most",
                    self.own <= allowed.own,
                ),
            )
            if not sound
        ]
        return ", ".join(wrong)


def export(path: str | Path, out: str | Path, precision: str = "fp32", *, pad: bool | None = None) -> Path:
    """Export a folder of weights (config.json, safetensors, tokenizer) to the new folder `out`, compared with torch.

    `precision` is fp32 or int4 (in int4, blocks and single tokens differ a little, so a speculated greedy text may
    leave the plain one at a near tie); `pad` adds rows to the vocabulary (default: where the builder would mistake
    another layer for the head). Returns `out`, which holds parity.json. Raises BadInput for a source that is no model
    or an `out` that exists, CannotDo for an export that is off or can't run; then nothing is left behind.
    """
    source, target = Path(path), Path(out)
    if precision not in TOLERANCES:
        raise BadInput(
            f"'{precision}' is no precision of an export.", hint=f"Known: {', '.join(TOLERANCES)}, both for CPUs."
        )
    if not (source / "config.json").is_file():
        raise BadInput(f"{path} holds no config.json.", hint="Needed: a local folder of a transformers model.")
    if not any((source / name).is_file() for name in TOKENIZERS):
        raise BadInput(f"{path} holds no tokenizer.", hint=f"Needed: one of {', '.join(TOKENIZERS)}.")
    if target.exists():
        raise BadInput(f"{out} exists already.", hint="Delete it or name another folder.")
    missing = [named for module, named in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra("onnx", f"An export to ONNX ({', '.join(missing)} not found)")
    model, size = _torch_model(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        room = Path(folder)
        pad = _mistaken(model, size) if pad is None else pad
        built = _build(_padded(source, room / source.name, model) if pad else source, room, precision)
        found = _compare(OnnxModel(built, vocabulary=size, name=source.name), model)
        if why := found.beyond(TOLERANCES[precision]):
            raise CannotDo(
                f"The {precision} export of {source.name} differs from torch: {why}.", hint=_cause(model, size, pad)
            )
        (built / RECORD).write_text(json.dumps(_record(source, built, precision, size, pad, found), indent=1) + "\n")
        os.rename(built, target)
    return target


def checked(path: str | Path) -> dict[str, Any]:
    """The record of an export, after its files were hashed again; BadInput where either is not what was compared."""
    folder = Path(path)
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        kept = record["model_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} was not compared with its weights: it has no {RECORD}.", hint=_again(folder)) from error
    if kept != _hash(sorted(folder.glob("*.onnx*"))):
        raise BadInput(f"The model in {path} is not the one that {RECORD} speaks of.", hint=_again(folder))
    return record


def _again(folder: Path) -> str:
    return f"Export it with sprat.whitebox.export_onnx(weights, {str(folder)!r})."


def _torch_model(source: Path) -> tuple[Any, int]:
    """The model in float32 and the size of its vocabulary."""
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(str(source), dtype="float32", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{source} can't be loaded: {str(error).splitlines()[0]}") from error
    return model.eval(), int(model.config.get_text_config().vocab_size)


def _mistaken(model: Any, size: int) -> bool:
    """Whether another layer than the head and the embedding has as many outputs, or rows, as the vocabulary."""
    own = {id(model.get_output_embeddings()), id(model.get_input_embeddings())}
    others = [m for m in model.modules() if id(m) not in own]
    return size in (getattr(m, "out_features", getattr(m, "num_embeddings", None)) for m in others)


def _padded(source: Path, room: Path, model: Any) -> Path:
    """A copy of the source with a vocabulary of PADDING rows more, or a multiple; the model given stays as it is."""
    copy, size = _torch_model(source)
    longer = next(n for n in range(size + PADDING, sys.maxsize, PADDING) if not _mistaken(model, n))
    copy.resize_token_embeddings(longer, mean_resizing=False)
    copy.save_pretrained(str(room))
    for file in source.iterdir():
        if file.is_file() and file.suffix in (".json", ".jinja", ".model", ".txt") and not (room / file.name).exists():
            shutil.copy(file, room / file.name)
    return room


def _build(source: Path, room: Path, precision: str) -> Path:
    built = room / "built"
    options = ["-i", str(source), "-o", str(built), "-p", precision, "-e", "cpu", "-c", str(room / "cache")]
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", *options]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode or not (built / "genai_config.json").is_file():
        last = (said.stderr.strip() or said.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CannotDo(
            f"onnxruntime-genai's builder can't export {source.name}: {last}",
            hint="Use the transformers endpoint for this model.",
        )
    for name in ("config.json", "generation_config.json"):
        if (source / name).is_file():
            shutil.copy(source / name, built / name)
    return built


def _compare(onnx: OnnxModel, model: Any) -> Parity:
    """Random and sampled texts of several lengths, read in every way that a session offers, against torch's forward."""
    texts = _texts(model, onnx.vocabulary, onnx.positions)
    wanted = [_forward(model, text) for text in texts]
    ways = [[_block(onnx, t) for t in texts], [_singly(onnx, t) for t in texts]]
    ways += [[_rolled_back(onnx, t) for t in texts], _ragged(onnx, texts)]
    rows = [np.concatenate(way).astype(np.float64) for way in ways]
    torch_rows = np.concatenate(wanted).astype(np.float64)
    p, q = log_softmax(torch_rows), log_softmax(rows[0])
    return Parity(
        logits=max(float(np.abs(r - torch_rows).max()) for r in rows),
        top1=min(float((r.argmax(-1) == torch_rows.argmax(-1)).mean()) for r in rows),
        kl=float((np.exp(p) * (p - q)).sum(-1).mean()),
        own=max(float(np.abs(r - rows[0]).max()) for r in rows[1:]),
        places=len(torch_rows),
    )


def _texts(model: Any, size: int, positions: int) -> list[Integers]:
    """Random ids, and texts of the model's own (a quantised model is judged where it is used)."""
    import torch

    rng, longest = np.random.default_rng(0), max(1, min(48, positions - 1))
    texts = [rng.integers(0, size, min(n, longest)) for n in (1, 2, 5, 17, 48)]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for _ in range(4):
            ids = torch.as_tensor(rng.integers(0, size, (1, 1)))
            while ids.shape[1] < longest:
                last = model(ids).logits[0, -1].softmax(-1)
                ids = torch.cat([ids, torch.multinomial(last, 1)[None]], 1)
            texts.append(ids[0].numpy())
    return texts


def _forward(model: Any, text: Integers) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.as_tensor(text)[None]).logits[0].numpy()


def _block(onnx: OnnxModel, text: Integers) -> Any:
    return onnx.session(1).feed(text[None])[0]


def _singly(onnx: OnnxModel, text: Integers) -> Any:
    session = onnx.session(1)
    return np.concatenate([session.feed(text[None, i : i + 1])[0] for i in range(len(text))])


def _rolled_back(onnx: OnnxModel, text: Integers) -> Any:
    """The text's second half after another continuation was read and forgotten."""
    session, half = onnx.session(1), len(text) // 2
    first = session.feed(text[None, :half])[0] if half else np.zeros((0, onnx.vocabulary), np.float32)
    session.feed(text[None, half:][:, ::-1])
    session.rollback(len(text) - half)
    return np.concatenate([first, session.feed(text[None, half:])[0]])


def _ragged(onnx: OnnxModel, texts: list[Integers]) -> list[Any]:
    """All texts as the rows of one session: the first tokens in a block, the rest one by one."""
    session, counts = onnx.session(len(texts)), np.array([len(t) for t in texts])
    start = np.maximum(1, counts // 2)
    ids = np.zeros((len(texts), int(start.max())), np.int64)
    for row, text, n in zip(ids, texts, start, strict=True):
        row[len(row) - n :] = text[:n]
    read = session.feed(ids, start)
    found = [[read[i, -n:]] for i, n in enumerate(start)]
    for step in range(int((counts - start).max())):
        active = start + step < counts
        tokens = np.array([t[min(n + step, len(t) - 1)] for t, n in zip(texts, start, strict=True)])
        given = session.feed(tokens[:, None], active.astype(np.int64))
        for i in np.flatnonzero(active):
            found[i].append(given[i])
    return [np.concatenate(rows) for rows in found]


def _cause(model: Any, size: int, padded: bool) -> str:
    if _mistaken(model, size) and not padded:
        return (
            f"Likely cause: another layer has {size} outputs, as many as the vocabulary has tokens, "
            "and the builder takes it for the language-model head. Leave pad at its default."
        )
    return "Likely cause: the builder does not know this architecture well, or the precision is too low for it."


def _record(source: Path, built: Path, precision: str, size: int, padded: bool, found: Parity) -> dict[str, Any]:
    return {
        "source": source.name,
        "source_sha256": _hash([source / "config.json", *sorted(source.glob("*.safetensors"))]),
        "model_sha256": _hash(sorted(built.glob("*.onnx*"))),
        "precision": precision,
        "vocabulary": size,
        "padded": padded,
        "measured": asdict(found),
        "allowed": {k: v for k, v in asdict(TOLERANCES[precision]).items() if v != float("inf")},
        "versions": {named: version(named) for named in NEEDED.values()},
    }


def _hash(files: list[Path]) -> str:
    """One SHA-256 over names and contents."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            whole.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
