"""What measures say of every model's recorded replies: means with bootstrap intervals, and the words behind low scores.

Intervals resample whole units (rows of one thread or prompt together), as the study's do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import BadInput, nearest
from ..nli.naming import resolved
from ..nli.protocol import Nli
from ..safety.naming import NAMES, is_scorer
from ..safety.naming import named as scorer_of
from ..sentences import sentences
from ..similarity.alignment import align
from ..similarity.scores import Baseline, baseline, token_encoder
from ..similarity.token_vectors import TokenEncoder
from ..uncertainty.self_check import by_bertscore, by_ngram, self_checked
from .bertscore import Scored, score_replies
from .consistency import CHECKERS, consistencies, documents, least
from .doubt import draws_of
from .grade import GRADERS, Grader, grade, targets
from .likelihood import likelihood
from .resampling import bootstrap, widened
from .unsafe import unsafe_replies, worst

Floats = NDArray[np.float64]
FEW = 10  # independent rows, under which a percentile bootstrap covers much less than it says


@dataclass(frozen=True, slots=True)
class Line:
    """One measure's mean over a model's n replies, with its 95 % interval; None where none has a score."""

    model: str
    measure: str
    n: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Evaluation:
    """The lines, every row's scores, the lowest rows with the words that lower them, and notes."""

    lines: tuple[Line, ...]
    rows: tuple[dict[str, Any], ...]
    lowest: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    baseline: Baseline | None = None

    def summary(self) -> dict[str, Any]:
        """All but the rows, as JSON holds it."""
        base = None if self.baseline is None else asdict(self.baseline)
        return {
            "scores": [asdict(line) for line in self.lines],
            "lowest": list(self.lowest),
            "baseline": base,
            "notes": list(self.notes),
        }


def evaluated(
    data: Dataset,
    measures: Sequence[str | Grader],
    encoder: str | TokenEncoder = "static",
    layer: int | None = None,
    idf: bool = False,
    rescale: bool = False,
    spans: int = 0,
    by: Any = None,
    nli: str | Nli = "small",
    document: str | None = None,
) -> Evaluation:
    """The measures of every model's replies: bertscore, likelihood (of the model `by`), self_check, or a grader.

    Also summac, alignscore and minicheck, over `nli`, against each row's `document` (see consistency.documents). Raises
    BadInput where one does not fit.
    """
    lines, notes = list[Line](), list[str]()
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (e.id, c.model): {"id": e.id, "model": c.model} for e in data for c in e.calls
    }
    lowest, base = list[dict[str, Any]](), None
    for measure in measures:
        if measure in ("likelihood", "self_check"):
            found = _likelihoods(data, by) if measure == "likelihood" else _self_checks(data, encoder, layer, nli)
            for model, places, scores in found:
                lines += [_line(data, model, f"{measure} {what}", places, v) for what, v in scores.items()]
                for what, v in scores.items():
                    for place, value in zip(places.tolist(), v.tolist(), strict=True):
                        rows[data.examples[place].id, model][f"{measure} {what}"] = _known(value)
            continue
        if isinstance(measure, str) and measure in CHECKERS:
            said = f"{documents(data, document)[1]} Inference is by {resolved(nli).name}: {resolved(nli).worth.said}"
            notes += [said] if said not in notes else []
            for model, places, checks in consistencies(data, measure, nli, document):
                values = np.array([c.score for c in checks])
                lines.append(_line(data, model, measure, places, values))
                for place, value in zip(places.tolist(), values.tolist(), strict=True):
                    rows[data.examples[place].id, model][measure] = _known(value)
                lowest += [{"measure": measure} | low for low in least(data, model, places.tolist(), checks, spans)]
            continue
        if measure == "bertscore":
            reader = token_encoder(encoder, layer)
            if rescale:
                base = baseline([t for e in data if e.target is not None for t in targets(e)], reader, seed=data.seed)
                notes.append(f"Rescaled by the mean of {base.pairs:,} random pairs of these targets: F {base.f:.4f}.")
            for scored in score_replies(data, reader, idf=idf, rescale=base):
                for what in ("precision", "recall", "f"):
                    values = scored.scores.of(what)
                    lines.append(_line(data, scored.model, f"BERTScore {what}", scored.rows, values))
                    for place, value in zip(scored.rows.tolist(), values.tolist(), strict=True):
                        rows[data.examples[place].id, scored.model][f"bertscore {what}"] = _known(value)
                if scored.scores.empty:
                    notes.append(
                        f"{scored.scores.empty:,} comparisons of '{scored.model}' have an empty side: cosine 0."
                    )
                lowest += _lowest(data, scored, reader, spans)
            continue
        if isinstance(measure, str) and is_scorer(measure):
            scorer = scorer_of(measure)
            for model, places, p, texts in unsafe_replies(data, scorer):
                lines.append(_line(data, model, f"P(unsafe) {measure}", places, p))
                for place, value in zip(places.tolist(), p.tolist(), strict=True):
                    rows[data.examples[place].id, model][measure] = value
                lowest += worst(data, model, scorer, places, p, texts, spans)
            continue
        if isinstance(measure, str) and ":" not in measure and measure not in GRADERS:
            known = ("likelihood", "self_check", *CHECKERS, *NAMES, *GRADERS)
            raise BadInput(f"There is no measure '{measure}'.", hint=nearest(measure, known))
        graded = grade(data, measure)
        named = measure if isinstance(measure, str) else measure.name
        notes += graded.notes[len(data.notes) :]
        for model in graded.models:
            found = [(i, r.score) for i, e in enumerate(graded) if (r := e.reply(model)) and r.score is not None]
            places = np.array([i for i, _ in found], np.int64)
            lines.append(_line(data, model, named, places, np.array([s for _, s in found], np.float64)))
            for place, score in found:
                rows[data.examples[place].id, model][named] = score
    units = len(set(data.units.tolist()))
    if units < FEW:
        notes.append(f"Intervals of {units} independent rows are too narrow; {FEW} or more are needed to go by them.")
    return Evaluation(tuple(lines), tuple(rows.values()), tuple(lowest), tuple(notes), base)


def _likelihoods(data: Dataset, by: Any) -> Iterator[tuple[str, NDArray[np.int64], dict[str, Floats]]]:
    """Each model's likelihood scores: after the prompt, and, where every reply has a target, against the targets."""
    if by is None:
        raise BadInput("likelihood needs a model that gives log-probabilities.", hint="Name it: --by tiny:sprat.")
    for model in data.models:
        kept = [(i, e, r) for i, e in enumerate(data) if (r := e.reply(model)) and r.ok]
        if not kept:
            continue
        given = [targets(e) for _, e, _ in kept] if all(e.target is not None for _, e, _ in kept) else None
        texts = [r.text or "" for _, _, r in kept]
        found = likelihood(by, texts, given, [e.request.text for _, e, _ in kept])
        named = {n: getattr(found, n) for n in ("faithfulness", "precision", "recall", "f")}
        yield model, np.array([i for i, _, _ in kept]), {n: v for n, v in named.items() if v is not None}


def _self_checks(
    data: Dataset, encoder: str | TokenEncoder, layer: int | None, nli: str | Nli
) -> Iterator[tuple[str, NDArray[np.int64], dict[str, Floats]]]:
    """Each model's answers against its other draws: SelfCheckGPT by BERTScore, unigrams and inference, the means."""
    drawn = [(model, found) for model in data.models if (found := draws_of(data, model))]
    if not drawn:
        raise BadInput(
            "self_check holds an answer against other draws of its prompt, and no prompt has any.",
            hint="Record several, numbered in a column 'sample'.",
        )
    reader = token_encoder(encoder, layer)
    for model, found in drawn:
        scores: dict[str, list[float]] = {"bertscore": [], "unigram": []}
        for _, replies in found:
            texts = [r.text or "" for r in replies]
            said = sentences(texts[0])
            others = [sentences(t) for t in texts[1:]]
            scores["bertscore"].append(float(np.mean(by_bertscore(said, others, reader))) if said else np.nan)
            grams = [s.mean for s in by_ngram(said, texts[0], texts[1:])] if said else [np.nan]
            scores["unigram"].append(float(np.mean(grams)))
        scores["nli"] = self_checked([[r.text or "" for r in replies] for _, replies in found], resolved(nli))
        yield model, np.array([i for i, _ in found], np.int64), {k: np.array(v) for k, v in scores.items()}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _line(data: Dataset, model: str, measure: str, rows: NDArray[np.int64], values: Floats) -> Line:
    known = np.isfinite(values)
    if not known.any():
        return Line(model, measure, 0, None, None, None)
    units = data.units[rows[known]]
    found = widened(bootstrap(_mean, values[known], units=units.tolist(), seed=data.seed))
    return Line(model, measure, int(known.sum()), found.value, found.low, found.high)


def _mean(values: Floats) -> float:
    return float(values.mean())


def _lowest(data: Dataset, scored: Scored, reader: TokenEncoder, count: int) -> list[dict[str, Any]]:
    """The lowest rows by F, each with its words that are least like the best reference."""
    out: list[dict[str, Any]] = []
    for at in np.argsort(scored.scores.f)[:count].tolist():
        found = [align(scored.texts[at], r, reader) for r in scored.references[at]]
        best = max(found, key=lambda a: float(np.mean([m.cosine for m in a.matches])) if a.matches else -1.0)
        words = [[m.word, round(m.cosine, 4)] for m in best.lowest()]
        place = [[m.start, m.end] for m in best.lowest()]
        out.append(
            {
                "model": scored.model,
                "id": data.examples[int(scored.rows[at])].id,
                "f": _known(float(scored.scores.f[at])),
                "words": words,
                "spans": place,
            }
        )
    return out
