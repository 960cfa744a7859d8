"""The main job: the cheapest way of working that keeps the quality asked for, with a guarantee.

Candidates are fitted and one ordered list of settings is fixed on the fit rows (tried.py, arrange.py); the list is
walked once on the calibration rows (certify.py); what is shown is measured on rows that played no part in fitting.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import Model
from ..data import Call, Dataset
from ..encoders.cache import cached
from ..encoders.static import StaticEncoder
from ..encoders.tfidf import TfidfEncoder
from ..errors import BadInput
from ..replay import Recorded, Recording, required
from ..shape import exchanged
from . import measures, promises, ways, where, words
from .candidates import Candidate, propose
from .certificate import Certificate, issue
from .certify import by_unit
from .evidence import Evidence, Held, joined
from .memo import Forgot, Remembered
from .result import Result
from .score import Facts, Trusted, complete, fitted, trusted
from .serving import serving
from .split import Cut, cut
from .tried import LEAST, Asked, Tell, Tried, progress, savings, try_all
from .workers import each

FEWEST = 20
AT_ONCE = 2000  # texts to encode in one piece of work


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Study:
    """What was found, and the model to serve: the certified way of working, or the reference alone.

    `promise` is what serve.toml says of the promise (see serving.py).
    """

    result: Result
    model: Model
    certificate: Certificate
    evidence: Evidence
    promise: Mapping[str, Any]


def study(
    data: Dataset,
    asked: Asked,
    *,
    encoder: Any = None,
    parts: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    tell: Tell = silent,
) -> Study:
    """Study recorded calls; raises BadInput for data that cannot be studied at all.

    `parts` are the models' endpoints where known (else they are named only); `context` adds to the result's heading:
    command, prices, prices_date, earlier (studies of the same data), measure (what gave the scores).
    """
    around = dict(context or {})
    data, dropped = _checked(data, asked)
    rows = cut(data)
    facts = Facts.of(data, asked.models, rows.fit, around.get("known"))
    real = encoder or StaticEncoder()
    # An encoder that is slow is worth keeping between studies.
    memo: Any = Remembered(real if isinstance(real, (StaticEncoder, TfidfEncoder)) else cached(real))
    whole = Recording(data)
    warm(data, asked, memo, whole)
    candidates = propose(data.take(rows.fit), asked.small, asked.large, asked.peers, memo)
    units = len(np.unique(facts.units[rows.calibration]))
    tried = try_all(candidates, whole, facts, rows.fit, units, asked, lambda s, i, n: tell(f"fitting: {s}", i, 2 * n))
    held = _held(tried, whole, rows, memo, tell)
    certificate = _certificate(data, facts.take(rows.calibration), tried, held, asked, around)
    chosen = next((s for s in tried.listed if s.name == certificate.certified), None)
    found = Evidence(data, asked, rows, facts, tried, held, certificate, chosen)
    tell("promise against saving", 0, 3)
    curve, ahead = promises.curve(found), promises.ahead(found)
    tell("where small is not enough", 1, 3)
    weak = where.weak(found, memo)
    tell("the table", 2, 3)
    endpoints = {m: (parts or {}).get(m) or Recorded(m) for m in asked.models}
    measure = str(around.get("measure", ""))
    model, promise = serving(found, endpoints, lambda part: real if part is memo else part, measure)
    result = Result(
        **words.heading(found, around, dropped),
        **words.verdict(found, ahead),
        certificate=certificate,
        ways=tuple(ways.ways(found, endpoints)),
        metrics=tuple(measures.metrics(found)),
        traces=tuple(measures.traces(found)),
        promises=tuple(curve),
        feasibility=tuple(ahead),
        weak=tuple(weak),
        reliability=tuple(measures.reliability(found)),
        drivers=tuple(where.drivers(found)),
    )
    return Study(
        result,
        model,
        certificate,
        found,
        promise,
    )


def _checked(data: Dataset, asked: Asked) -> tuple[Dataset, int]:
    if len(set(asked.models)) < 2 or asked.small == asked.large:
        raise BadInput("A study compares at least two models.", hint="Give --small and --large, each another model.")
    twice = next((m for m in asked.models if asked.models.count(m) > 1), None)
    if twice is not None:
        raise BadInput(f"'{twice}' is named twice.", hint="--small, --large and each of --peers is another model.")
    required(data, asked.models)
    data, dropped = complete(_openings(data).of_models(asked.models), asked.models)
    if len(data) < FEWEST:
        raise BadInput(
            f"{len(data)} rows have a score for every model asked about; a study needs at least {FEWEST}.",
            hint="Check the scores and the models' names, or collect more: sprat collect.",
        )
    units = int(data.units.max()) + 1
    if units < FEWEST:
        raise BadInput(
            f"The {len(data)} rows make only {units} independent units; a study needs at least {FEWEST}.",
            hint="Rows that share a unit, a user or a thread count together: collect calls of others.",
        )
    return _priced_or_not(data, asked.models), dropped


def _priced_or_not(data: Dataset, models: tuple[str, ...]) -> Dataset:
    """The data without the costs of a model that lacks some: a mean over those known would be a guess."""
    known = np.isfinite(data.costs(models))
    some = {m for m, column in zip(models, known.T, strict=True) if column.any() and not column.all()}
    if not some:
        return data
    return replace(
        data,
        examples=tuple(
            replace(e, calls=tuple(_unpriced(c) if c.model in some else c for c in e.calls)) for e in data.examples
        ),
        notes=(*data.notes, f"Some calls of {', '.join(sorted(some))} have no cost, so theirs counts as unknown."),
    )


def _unpriced(call: Call) -> Call:
    return replace(call, reply=replace(call.reply, cost=None))


def warm(data: Dataset, asked: Asked, memo: Remembered, whole: Recording) -> None:
    """Encode every text and index the calls once, before workers are forked that would each do it again."""
    texts = [e.request.text for e in data.unlabelled]
    texts += [r.text for r in data.replies(asked.small) if r is not None and r.text is not None]
    new = list(dict.fromkeys(texts))
    parts = [new[at : at + AT_ONCE] for at in range(0, len(new), AT_ONCE)]
    found = each(len(parts), lambda i: memo.encoder.encode(parts[i]), lambda _: None)
    for part, rows in zip(parts, found, strict=True):
        memo.rows.update(zip(part, rows, strict=True))
    whole.index()


def _held(tried: Tried, whole: Recording, rows: Cut, memo: Any, tell: Tell) -> Held:
    n, total = len(rows.calibration), len(tried.candidates)
    rest = np.concatenate([rows.calibration, rows.test])

    def measured(i: int) -> tuple[tuple[Any, ...], Trusted]:
        candidate = tried.candidates[i]
        if tried.careful[i]:
            learned = tuple(_careful(s, candidate, whole, rows) for s in candidate.signals)
        else:
            learned = fitted(candidate, whole, rows.fit)
        trust = trusted(candidate, learned, whole, rest)
        # A worker's copy of the encoder's memory must not travel back with what was fitted.
        return exchanged(learned, lambda part: Forgot() if part is memo else part), trust

    told = progress(lambda name, i, m: tell(f"measuring: {name}", total + i, 2 * m), tried.candidates)
    found = each(total, measured, told)
    signals = tuple(exchanged(s, lambda part: memo if isinstance(part, Forgot) else part) for s, _ in found)
    calibration = tuple(t.take(slice(0, n)) for _, t in found)
    shown = tuple(t.take(slice(n, None)) for _, t in found) if len(rows.test) else calibration
    return Held(signals, calibration, shown)


def _careful(signal: Any, candidate: Candidate, whole: Recording, rows: Cut) -> Any:
    from ..data import Lessons
    from ..signals import known_groups

    return known_groups(signal).fit(
        Lessons.of(whole.data.unlabelled.take(rows.fit), candidate.models, whole, whole.data.seed)
    )


def _openings(data: Dataset) -> Dataset:
    """The rows without later turns of conversations: a certificate is about first turns.

    What is left is still a part of these data: its hash, hence its seed, is theirs, whichever models are studied.
    """
    whole = replace(data, part_of=data.hash)
    first = [i for i, e in enumerate(data) if not e.request.continues]
    if len(first) == len(data):
        return whole
    if not first:
        raise BadInput(
            "Every row is a later turn of a conversation, and a study is about first turns.",
            hint='If the earlier turns are worked examples, say that rows stand alone: give each "thread": "".',
        )
    said = f"{len(data) - len(first):,} later turns of conversations left out: the certificate is about first turns"
    return replace(whole.take(first), notes=(*data.notes, said))


def _certificate(
    data: Dataset, facts: Facts, tried: Tried, held: Held, asked: Asked, around: Mapping[str, Any]
) -> Certificate:
    names = [s.name for s in tried.listed]
    losses, saving = np.empty((len(np.unique(facts.units)), 0)), np.empty(0)
    if names:
        found = joined(tried, held.calibration, tried.listed, facts)
        losses = by_unit(asked.promise.losses(facts.reference, found.score), facts.units.tolist())
        saving = savings(found, facts, tried.dollars)

    def walked(n: int) -> Certificate:
        return issue(
            asked.promise,
            names[:n],
            losses[:, :n],
            tried.list.spread[:n],
            asked.delta,
            rows=len(facts),
            data_hash=data.hash,
            date=datetime.date.today().isoformat(),
            prices_date=around.get("prices_date"),
            earlier_studies=int(around.get("earlier", 0)),
        )

    certificate = walked(len(names))
    # All that passed holds at once, so the list may end before what turns out to save nothing on these rows.
    while certificate.certified is not None and not saving[names.index(certificate.certified)] > LEAST:
        certificate = walked(names.index(certificate.certified))
    return certificate
