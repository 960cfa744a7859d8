"""From a file or a public set to a finished study: read, grade, price, study, save."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..config import load_models
from ..core import Model
from ..data import Dataset
from ..errors import BadInput, MissingExtra, nearest
from . import ledger
from .certificate import Certificate
from .certify import Promise
from .evidence import Evidence
from .result import Result
from .run import silent
from .run import study as run_study
from .score import complete
from .tried import Asked, Tell


@dataclass(frozen=True)
class Study:
    """A finished study: the findings, the model to serve, the certificate, and all that was measured for them."""

    result: Result
    model: Model
    certificate: Certificate
    evidence: Evidence
    promise: Mapping[str, Any]

    def __str__(self) -> str:
        return "\n".join([self.result.verdict, *self.result.advice])

    def save(self, folder: str | Path, texts: bool = False) -> Path:
        """Write the page, the charts, the JSON and serve.toml with its arrays, all or none; BadInput where it can't.

        `texts` puts the logged neighbours' prompts beside serve.toml, so that a gateway may be told to show them.
        """
        from ..config import dump, fingerprint
        from .report.save import save

        path = Path(folder)
        with tempfile.TemporaryDirectory() as beside:
            file, tables = Path(beside) / "serve.toml", self._tables(f"{path}/", texts)
            dump(self.model, file, extra=tables)
            served = fingerprint(file)
            # In the file too, so that a change shows wherever it is taken alone; the hash is not of this table.
            tables["certificate"]["served"] = served
            dump(self.model, file, extra=tables)
            result = replace(self.result, certificate=replace(self.result.certificate, served=served))
            return save(result, path, {f.name: f.read_bytes() for f in Path(beside).iterdir()})

    def _tables(self, folder: str, texts: bool) -> dict[str, Any]:
        """What serve.toml holds beside the model: each table is the gateway's to read."""
        from . import quality
        from .report.card import card

        return {
            "certificate": {label.lower(): text for label, text in card(self.certificate, folder)},
            "card": quality.table(self.evidence, texts),
            **({"promise": self.promise} if self.promise else {}),
        }


def study(
    data: Dataset | str | Path,
    *,
    small: str | None = None,
    large: str | None = None,
    peers: Sequence[str] = (),
    keep: float | None = None,
    within: float | None = None,
    confidence: float = 0.95,
    max_p95: float | None = None,
    prices: Any = None,
    grade: str | None = None,
    encoder: Any = None,
    models: Mapping[str, Any] | str | Path | None = None,
    skip_bad: bool = False,
    bounds: tuple[float, float] | None = None,
    columns: dict[str, str] | None = None,
    command: str = "",
    tell: Tell = silent,
) -> Study:
    """Find the cheapest way of working that keeps the quality asked for, from recorded calls.

    `data` is a Dataset, a file, or a public set's name; `keep` is a ratio (.98; the default), `within` a loss in
    points of 100; `max_p95` is in seconds; `prices` a price table or its path; `encoder` one of sprat.encoders, or as
    in --encoder; `models` say how to ask the recorded models, by name, or the file that does. Raises BadInput for
    unusable data.
    """
    promise = _promise(keep, within)
    ways = load_models(models) if isinstance(models, (str, Path)) else models or {}
    if not 0.5 <= confidence < 1:
        raise BadInput(f"--confidence is {confidence:g}; it must be at least 0.5 and below 1.", hint="0.95 is usual.")
    tell("reading", 0, 1)
    wanted = (small, *peers, large) if small and large else None
    rows = data if isinstance(data, Dataset) else load(data, wanted, skip_bad=skip_bad, bounds=bounds, columns=columns)
    read = rows.hash  # of the rows as they were read: other prices or graders make it no other data
    small, large = pair(rows, small, large)
    asked = Asked(small, large, tuple(peers), promise, round(1 - confidence, 12), max_p95)
    rows.require(asked.models)
    # A part of the whole from here on, under its hash; the other models' calls need not be kept in memory.
    rows = graded(replace(rows, part_of=read).of_models(asked.models), grade, large)
    rows, table = priced_by(rows, prices)
    known = {m: p for m in asked.models if (p := table.of(m)) is not None}
    context = {
        "command": command,
        "prices": {m: {"input": p.input, "output": p.output} for m, p in known.items()},
        "prices_date": table.date or None,
        "prices_note": table.note,
        "known": known,
        "earlier": ledger.earlier(read),
        "measure": _measure(grade, rows),
    }
    if isinstance(encoder, str):
        encoder = named_encoder(encoder, complete(rows, asked.models)[0])
    with _one_thread():
        parts = endpoints(rows, asked, known, ways)
        done = run_study(rows, asked, encoder=encoder, parts=parts, context=context, tell=tell)
    ledger.remember(read, done.result.date, command)
    return Study(done.result, done.model, done.certificate, done.evidence, done.promise)


def _measure(grade: str | None, rows: Dataset) -> str:
    """What gave the scores, in the word of --grade; of agreement and of other graders that name a model, the word."""
    said = next((n.removeprefix("graded by ") for n in rows.notes if n.startswith("graded by ")), "")
    by = grade or said.partition(": ")[0] or "recorded"
    if by.startswith("agreement"):  # the watch over the promise is to compare as the study did
        return "agreement:f1" if any("(token F1" in note for note in rows.notes) else "agreement"
    return by


def named_encoder(name: str, rows: Dataset) -> Any:
    """static (embedded), tfidf (learnt from the fit rows' prompts), or a sentence-transformers model."""
    from .. import encoders
    from .split import cut

    if name == "static":
        return encoders.StaticEncoder()
    if name == "tfidf":
        fit = cut(rows).fit
        return encoders.fit(encoders.TfidfEncoder(dim=256), [rows.examples[int(i)].request.text for i in fit])
    return encoders.SentenceEncoder(name)


def _one_thread() -> Any:
    """One thread per process for linear algebra: workers are forked per core, and the matrices are small."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as missing:
        raise MissingExtra("study", "sprat study") from missing
    return threadpool_limits(1)


def load(source: str | Path, wanted: Sequence[str] | None = None, **options: Any) -> Dataset:
    """A file of calls, or the aquarium or a public outcome set by name; of a public set, the `wanted` models' calls."""
    from .. import aquarium, public
    from ..reading import read

    name = str(source)
    if Path(name).exists() or "." in name or "/" in name:
        return read(source, **{k: v for k, v in options.items() if v is not None})
    if name == "aquarium":
        return replace(read(aquarium.recordings()), name=name)
    if name not in public.NAMES:
        known = ("aquarium", *public.NAMES)
        raise BadInput(f"There is no file and no set called '{name}'.", hint=nearest(name, known))
    return public.load(name, wanted)


def _promise(keep: float | None, within: float | None) -> Promise:
    if keep is not None and within is not None:
        raise BadInput("Both --keep and --within were given.", hint="Promise one: a ratio to keep, or points to lose.")
    if within is not None:
        return Promise("within", within / 100)
    return Promise("keep", 0.98 if keep is None else keep)


def pair(rows: Dataset, small: str | None, large: str | None) -> tuple[str, str]:
    """The names of the small and the large model; raises BadInput where that was not said and can't be inferred."""
    if len(rows.models) < 2:
        only = f"only '{rows.models[0]}'" if rows.models else "no model"
        raise BadInput(f"A study compares at least two models; {only} is recorded.",
                       hint="Record the other model's calls too: sprat collect.")  # fmt: skip
    if small and large:
        return small, large
    named = ", ".join(rows.models[:12])
    if len(rows.models) == 2 and (small or large):
        rows.require([small or large or ""])
        other = next(m for m in rows.models if m != (small or large))
        return (small, other) if small else (other, large or "")
    raise BadInput("Which model is small and which large was not said.", hint=f"Give --small and --large, of: {named}.")


def graded(rows: Dataset, by: str | None, large: str) -> Dataset:
    """The rows with a score on every reply: by this grader, else by what fits the data, which a note says."""
    from ..measure.grade import choose
    from ..measure.grade import grade as give

    if by is not None and by.startswith("judge:"):
        from ..config import model_of
        from ..measure.judge import Judge

        return give(rows, Judge(model_of(by.removeprefix("judge:"))))
    if by is not None:
        return give(rows, f"agreement:{large}" if by == "agreement" else by)
    fits = choose(rows, large)
    note = f"graded by {fits.by}: {fits.why}"
    rows = give(rows, fits.by)
    return rows if fits.by == "recorded" else replace(rows, notes=(*rows.notes, note))


def priced_by(rows: Dataset, prices: Any) -> tuple[Dataset, Any]:
    """The rows with costs filled in from a price table or its path, and the table."""
    from ..prices import Prices, built_in, priced, read_prices

    table = prices if isinstance(prices, Prices) else read_prices(prices) if prices else Prices()
    if rows.name == "aquarium":
        table = table.over(built_in()) if table.models else built_in()
    return (priced(rows, table), table) if table.models else (rows, table)


def endpoints(
    rows: Dataset, asked: Asked, prices: Mapping[str, Any], given: Mapping[str, Any] = MappingProxyType[str, Any]({})
) -> dict[str, Any]:
    """What serve.toml asks: the models given, the aquarium's own, else ones whose url is to be filled in."""
    from ..endpoints import openai, tiny

    def one(model: str) -> Any:
        if model in given:
            return given[model]
        if rows.name == "aquarium":
            return tiny(model)
        logprobs = any(r is not None and r.logprobs for r in rows.replies(model)[:50])
        return openai(model, "", price=prices.get(model), logprobs=logprobs)

    return {model: one(model) for model in asked.models}
