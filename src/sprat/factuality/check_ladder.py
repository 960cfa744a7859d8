"""A ladder of checks: cheap ones first, dearer ones only about what is still in doubt, until the budget is spent.

Each rung's doubt, the calibrated probability that a claim is unsupported, is a logistic regression on all numbers read
so far, mapped by Platt's on rows that it was not fitted on. A check stops where its own doubt leaves at most `at_risk`
of being wrong, and where, out of fold, at most as many of all verdicts on that side were wrong, one more error counted
((k + 1) / (n + 1), as in conformal risk control, arXiv 2208.02814; chosen so, not certified). Whole
sentences of the document, word for word, are borne out without a look; that is a rule, not calibrated. A cascade in
the sense of FrugalGPT (arXiv 2305.05176), over checks instead of answers. Checked by hand and on synthetic rows;
measured in benchmarks/summedits.py and halueval.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import load
from ..drivers import Swap, drive, drive_many
from ..errors import BadInput
from ..nli import small
from ..sentences import sentences
from ..signals.calibrators import Platt
from ..signals.heads import Linear, fit_linear
from .checks import Check, Floats, Rung, Spent
from .cuts import thresholds
from .facts import Fact
from .rungs import Asked, Inference, priced, rung
from .support import shared
from .surface import Alignment, Unigram, places

AT_RISK = 0.1
FEWEST = 40
FOLDS = 5
VERBATIM, EMPTY = "verbatim", "empty"


@dataclass(frozen=True)
class Labelled:
    """A check with what is true of it, and what it shares with others (its document unless given)."""

    claim: str
    document: str
    supported: bool
    group: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """What a rung has learnt.

    Supported up to `low`, unsupported from `high` on; at the end, unsupported from `cut` on. `out_of_fold` (n,) are the
    doubts about the rows that it learnt from, of which those marked `unsupported` (n,) were so; `dollars` (None:
    unknown) and `seconds` are what one of them took.
    """

    head: Linear
    map: Platt
    low: float
    high: float
    cut: float
    out_of_fold: Floats
    unsupported: Floats
    dollars: float | None
    seconds: float

    def doubts(self, x: Floats) -> Floats:
        """The probabilities (n,) of "unsupported" for rows (n, d)."""
        return self.map.predict(self.head.predict(x))


@dataclass(frozen=True, slots=True)
class Finding:
    """What the ladder says of a check: its doubt, by which rung, and whether that was sure enough to stop there.

    It is unsupported from a doubt of `cut` on. A claim that says nothing has a doubt of NaN, which is unknown, and a
    rung "empty". `calibrated` is False for what no fitted rung says: a model that was asked but never fitted (its own
    word for it), and sentences of the document itself (a rule).
    """

    check: Check
    doubt: float
    unsupported: bool
    sure: bool
    rung: str
    calibrated: bool
    spent: Spent
    cut: float = 0.5

    @property
    def verdict(self) -> str:
        """Not borne out, borne out where that is sure, else not sure; nothing claimed for an empty claim."""
        if self.rung == EMPTY:
            return "nothing claimed"
        return "not borne out" if self.unsupported else "borne out" if self.sure else "not sure"

    @property
    def evidence(self) -> str:
        """The document's sentence that shares most telling words with the claim; "" where there is none."""
        said = self.check.claim
        return max(sentences(self.check.document), key=lambda s: shared(said, s), default="")

    def marks(self) -> list[Fact]:
        """The parts of an unsupported claim that nothing in the document is like; none where no word stands out."""
        return places(self.check) if self.unsupported else []

    def spans(self) -> list[Fact]:
        """The marks; the whole claim where it is unsupported and no word stands out."""
        whole = [Fact(self.check.claim, 0, len(self.check.claim))] if self.unsupported else []
        return self.marks() or whole


@dataclass(frozen=True, slots=True)
class Booked:
    """One rung's line in the ledger: how many checks came and stopped there; dollars (None: unknown), CPU-seconds."""

    rung: str
    came: int
    stopped: int
    dollars: float | None
    seconds: float


@dataclass(frozen=True)
class Findings:
    """The findings in the order of the checks, and the ledger, a line for each rung."""

    findings: tuple[Finding, ...]
    ledger: tuple[Booked, ...]

    @property
    def unsupported(self) -> list[Finding]:
        """Those that are not borne out."""
        return [f for f in self.findings if f.unsupported]


@dataclass(frozen=True, repr=False)
class Ladder:
    """`rungs` from cheap to dear, the acceptable risk, and the budget of one check in dollars and in CPU-seconds."""

    rungs: tuple[Any, ...]
    at_risk: float = AT_RISK
    dollars: float | None = None
    seconds: float | None = None
    steps: tuple[Step, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        shown = [*map(_said, self.rungs), *([] if self.at_risk == AT_RISK else [f"at_risk={self.at_risk}"])]
        budget = {"dollars": self.dollars, "seconds": self.seconds}
        shown += [f"{name}={value}" for name, value in budget.items() if value is not None]
        return f"factuality.ladder({', '.join(shown)})"

    def at(self, risk: float) -> Ladder:
        """The same, with thresholds for another risk, chosen on the rows that each rung learnt from."""
        steps = [(s, thresholds(s.out_of_fold, s.unsupported, risk)) for s in self.steps]
        return replace(self, at_risk=risk, steps=tuple(replace(s, low=t[0], high=t[1], cut=t[2]) for s, t in steps))

    def fit(self, rows: Sequence[Labelled | Mapping[str, Any]], seed: int = 0, swap: Swap | None = None) -> Ladder:
        """Learn every rung from labelled checks; rows of one group are never on both sides of a fold.

        A rung learns from the rows that come to it (from all, where these are fewer than 40), so a model is asked about
        no others; `swap` says who answers in a model's place (a recording). Raises BadInput under 40 rows, or without
        rows of both kinds in three groups.
        """
        told = [r if isinstance(r, Labelled) else labelled(r) for r in rows]
        y = np.array([not r.supported for r in told], np.float64)
        groups = np.unique([r.group or r.document for r in told], return_inverse=True)[1]
        if len(told) < FEWEST or y.min() == y.max() or len(set(groups.tolist())) < 3:
            raise BadInput(
                f"A ladder learns from at least {FEWEST} labelled checks, of both kinds, of three documents or more; "
                f"here are {len(told)}, {int(y.sum())} unsupported, of {len(set(groups.tolist()))}.",
                hint="Add rows, or a 'group' for each.",
            )
        if self.dollars is not None and swap is None:
            for one in self.rungs[1:]:
                if isinstance(one, Asked) and not priced(one.model):
                    raise _unknown_cost(one.name)
        checks = [Check(r.claim, r.document) for r in told]
        steps, seen = list[Step](), np.zeros((len(told), 0))
        left = np.arange(len(told))
        for one in self.rungs:
            if len(left) < FEWEST or y[left].min() == y[left].max():
                left = np.arange(len(told))
            rows_seen, spent = drive_many(
                [_up_to(self.rungs[: len(steps) + 1], [checks[i] for i in left], seen[left])], swap
            )[0]
            step, doubts = _learn(rows_seen, y[left], groups[left], spent, self.at_risk, seed)
            if np.isnan(doubts).any():
                raise BadInput(f"'{getattr(one, 'name', one)}' gave a number that is none.")
            steps.append(step)
            wider = np.full((len(told), rows_seen.shape[1]), np.nan)
            wider[left] = rows_seen
            seen = wider
            left = left[(doubts > step.low) & (doubts < step.high)]
        return replace(self, steps=tuple(steps))

    async def judge(self, claims: Sequence[str], documents: Sequence[str]) -> Findings:
        """The findings about each claim and its document; awaits only the verbs.

        Raises BadInput before fit, for lists of two lengths, or where a budget can't be kept.
        """
        if len(claims) != len(documents):
            raise BadInput(f"There are {len(claims)} claims and {len(documents)} documents.", hint="Give one for each.")
        self._ready()
        checks = [Check(c, d) for c, d in zip(claims, documents, strict=True)]
        left, seen = np.arange(len(checks)), np.zeros((len(checks), 0))
        told: dict[int, Finding] = {}
        spent = [Spent(0.0, 0.0)] * len(checks)
        ledger: list[Booked] = []
        for i, one in enumerate(checks):
            if not any(map(str.isalnum, one.claim)):
                told[i] = Finding(one, float("nan"), False, False, EMPTY, False, spent[i])
            elif verbatim(one):
                told[i] = Finding(one, 0.0, False, True, VERBATIM, False, spent[i])
        left = np.array([i for i in left.tolist() if i not in told], np.int64)
        ledger.append(Booked(VERBATIM, len(checks), sum(f.rung == VERBATIM for f in told.values()), 0.0, 0.0))
        for number, one in enumerate(self.rungs):
            step = self.steps[number] if number < len(self.steps) else None
            going = [i for i in left.tolist() if self._affords(spent[i], step) or not number]
            came = [checks[i] for i in going]
            rows, took = await one.read(came) if came else (np.zeros((0, len(one.names))), list[Spent]())
            x = np.hstack([seen[going], rows])
            doubts = step.doubts(x) if step else 1 - rows[:, 0]
            stopped = 0
            for i, doubt, each in zip(going, doubts.tolist(), took, strict=True):
                spent[i] = Spent(_sum(spent[i].dollars, each.dollars), spent[i].seconds + each.seconds)
                sure = step is not None and not step.low < doubt < step.high
                stopped += sure
                cut = step.cut if step else 0.5
                told[i] = Finding(checks[i], doubt, doubt >= cut, sure, one.name, bool(step), spent[i], cut)
            wider = np.full((len(checks), x.shape[1]), np.nan)
            wider[going] = x
            seen = wider
            left = np.array([i for i in going if not told[i].sure], np.int64)
            dollars = None if any(t.dollars is None for t in took) else float(sum(t.dollars or 0.0 for t in took))
            ledger.append(Booked(one.name, len(going), stopped, dollars, float(sum(t.seconds for t in took))))
        return Findings(tuple(told[i] for i in range(len(checks))), tuple(ledger))

    def check(self, claims: str | Sequence[str], document: str | Sequence[str]) -> Findings:
        """The findings about claims (one text: its sentences) and their document, or a document for each claim."""
        said = sentences(claims) if isinstance(claims, str) else list(claims)
        return drive(self.judge(said, [document] * len(said) if isinstance(document, str) else list(document)))

    def transform(self, claims: Sequence[str], documents: Sequence[str]) -> Floats:
        """The doubts (n,): the calibrated probability that each is unsupported, at the rung where it stopped."""
        return np.array([f.doubt for f in drive(self.judge(claims, documents)).findings])

    def _ready(self) -> None:
        for number, one in enumerate(self.rungs):
            if number >= len(self.steps) and not isinstance(one, Asked):
                raise BadInput(f"The rung '{one.name}' has not learned yet.", hint="Use ladder(...).fit(rows).")
            unknown = number >= len(self.steps) or self.steps[number].dollars is None
            if number and self.dollars is not None and unknown:
                raise _unknown_cost(one.name)

    def _affords(self, spent: Spent, step: Step | None) -> bool:
        """Whether the budget holds what is spent and what the rung takes on average."""
        if step is None:
            return True
        dollars = _sum(spent.dollars, step.dollars)
        within = self.dollars is None or (dollars is not None and dollars <= self.dollars)
        return within and (self.seconds is None or spent.seconds + step.seconds <= self.seconds)


async def _up_to(rungs: Sequence[Rung], checks: Sequence[Check], seen: Floats) -> tuple[Floats, list[Spent]]:
    """The numbers of all rungs (n, d) so far, reading only what is not seen yet, and what the last rung took."""
    rows, spent = list[Floats](), list[Spent]()
    at = 0
    for one in rungs:
        held = seen[:, at : at + len(one.names)]
        at += len(one.names)
        if held.shape[1] == len(one.names) and not np.isnan(held).any():
            rows.append(held)
            continue
        found, spent = await one.read(checks)
        rows.append(found)
    return np.hstack(rows), spent


def _learn(
    x: Floats, y: Floats, groups: NDArray[np.int64], spent: Sequence[Spent], at_risk: float, seed: int
) -> tuple[Step, Floats]:
    """A rung's step from rows (n, d), and the doubts (n,) out of fold."""
    folds = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % FOLDS
    raw = np.full(len(y), y.mean())
    for fold in range(FOLDS):
        inside = folds != fold
        if inside.all() or y[inside].min() == y[inside].max():
            continue
        raw[~inside] = fit_linear(x[inside], y[inside], seed).predict(x[~inside])
    mapped = Platt().fit(raw, y)
    if mapped.slope < 0:  # an order worse than chance has learnt nothing, and turned round it is not better
        mapped = Platt(0.0, float(np.log(y.mean() / (1 - y.mean()))))
    doubts = mapped.predict(raw)
    low, high, cut = thresholds(doubts, y, at_risk)
    dollars = None if any(s.dollars is None for s in spent) else float(np.mean([s.dollars or 0.0 for s in spent]))
    seconds = float(np.mean([s.seconds for s in spent])) if spent else 0.0
    return Step(fit_linear(x, y, seed), mapped, low, high, cut, doubts, y, dollars, seconds), doubts


def _unknown_cost(name: str) -> BadInput:
    return BadInput(
        f"What '{name}' costs is unknown, so a budget in dollars can't be kept.",
        hint="Give the model a price, and fit the ladder with it.",
    )


def joined(parts: Sequence[Findings]) -> Findings:
    """Findings one after the other, their ledgers added up."""
    lines: dict[str, Booked] = {}
    for b in (b for part in parts for b in part.ledger):
        a = lines.get(b.rung, Booked(b.rung, 0, 0, 0.0, 0.0))
        dollars = _sum(a.dollars, b.dollars)
        lines[b.rung] = Booked(b.rung, a.came + b.came, a.stopped + b.stopped, dollars, a.seconds + b.seconds)
    ordered = sorted(lines.values(), key=lambda b: b.rung != VERBATIM)
    return Findings(tuple(f for part in parts for f in part.findings), tuple(ordered))


def verbatim(check: Check) -> bool:
    """Whether the claim is whole sentences of the document, word for word but for space, case and marks at the ends.

    A part of a sentence is not enough: "it is a myth that", and all like it, would be left out.
    """
    said = [_bare(s) for s in sentences(check.claim)]
    return any(len(s.split()) > 1 for s in said) and _held(check.document).issuperset(said)


@lru_cache(maxsize=256)
def _held(document: str) -> frozenset[str]:
    return frozenset(_bare(s) for s in sentences(document))


def _bare(sentence: str) -> str:
    return " ".join(sentence.lower().split()).strip(" .,;:!?\"'“”")


def labelled(row: Mapping[str, Any]) -> Labelled:
    """A row with claim, document and supported (true or false, 1 or 0), perhaps group; BadInput where one lacks."""
    for name in ("claim", "document", "supported"):
        if row.get(name) is None:
            raise BadInput(f"A labelled check has no '{name}'.", hint="It needs claim, document and supported.")
    told = row["supported"]
    if told not in (0, 1):
        raise BadInput(f"'supported' is {told!r}.", hint="Write true or false.")
    return Labelled(str(row["claim"]), str(row["document"]), bool(told), str(row.get("group") or ""))


def _said(one: Any) -> str:
    if one == Unigram():
        return "'unigram'"
    if one == Alignment():
        return "'alignment'"
    if isinstance(one, Inference) and one == Inference(small()):
        return "'nli'"
    return repr(one.model) if isinstance(one, Asked) else repr(one)


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def ladder(*rungs: Any, at_risk: float = AT_RISK, dollars: float | None = None, seconds: float | None = None) -> Ladder:
    """A ladder of rungs: words (unigram, alignment, nli, look, meaning), rungs, inference models, checkers, or models.

    Raises BadInput for no rung, or a risk that is not between 0 and 1.
    """
    if not rungs or not 0 < at_risk < 1:
        raise BadInput(f"A ladder needs a rung, and a risk between 0 and 1; got {len(rungs)} and {at_risk}.")
    return Ladder(tuple(rung(r) for r in rungs), at_risk, dollars, seconds)


def fitted(*words: str, at_risk: float = AT_RISK) -> Ladder:
    """The embedded ladder: unigram, alignment, nli, or the first of these, as fitted by recipes/checks/fit.py.

    Raises BadInput where the words are no beginning of that list: such a ladder is to be fitted on rows of one's own.
    """
    made: Ladder = load(Path(__file__).parent / "weights" / "ladder.toml")
    known = [r.name for r in made.rungs]
    if not words or list(words) != known[: len(words)]:
        raise BadInput(
            f"The embedded ladder is {', '.join(known)}, or the first of these; not {', '.join(words) or 'nothing'}.",
            hint="Fit another on labelled rows: ladder(...).fit(rows), or sprat check --fit FILE.",
        )
    return replace(made, rungs=made.rungs[: len(words)], steps=made.steps[: len(words)]).at(at_risk)
