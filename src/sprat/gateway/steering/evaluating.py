"""What another setting would have cost or scored, from logged requests; or a sentence that says why that can't be told.

Where the settings are routes by one signal, a row tells of every threshold: its action is the model that was asked, and
its logged propensity that of asking it at the row's trust. Elsewhere a row tells of the settings that might have been
drawn. Rows without a propensity or without the outcome are left out, and counted.

Whether a request fails depends on who is asked, so that failures can't just be dropped. For a score each is a 0 (as
many of them as there are scores among the others); what one costs is often not known, so that no cost is estimated
where more than 1 % failed. Requests that their client left, or that no model was asked for, are left out.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ...combine import Route
from ...errors import BadInput, nearest
from ...shape import name_of
from ..ledger.exchange import Exchange
from ..ledger.store import WATCHED, Label
from ..served import AUTO, Served, load
from ..witness import Witness
from .off_policy import HEAVY, LEAST, Evaluation, Logged, evaluate
from .policy import Policy, policy_of
from .ways import Way, asked

Outcome = Literal["cost", "score"]
FAILURES = 0.01  # of requests, beyond which a cost without them is another cost
_EXPLORE = 0.05
_LEFT = 499
_UNKNOWN = "have no known outcome"


@dataclass(frozen=True)
class Evaluated:
    """A policy on a log: the estimates or the refusal, the mean outcome of what was really done, and what was left out.

    `needed` says what exploration would tell, where the log does not.
    """

    policy: str
    outcome: str
    found: Evaluation
    logged: float
    left_out: Mapping[str, int]
    needed: str = ""


def evaluated(
    served: Served, policy: str, exchanges: Sequence[Exchange], labels: Sequence[Label], outcome: Outcome
) -> Evaluated:
    """Evaluate a policy (a setting's name or number, at_least=NUMBER, or another serve.toml); BadInput."""
    choosing = policy_of(served)
    name, target = _target(choosing, served, policy)
    scores = _scores(labels) if outcome == "score" else {}
    left: dict[str, int] = {}
    rows: list[tuple[Exchange, float]] = []
    failed: list[Exchange] = []
    for e in exchanges:
        value = scores.get(e.id) if outcome == "score" else e.cost
        why = _lacks(e, choosing.signal)
        if not why and e.status != 200:
            failed.append(e)
        elif not why and value is not None:
            rows.append((e, value))
        else:
            why = why or _UNKNOWN
            left[why] = left.get(why, 0) + 1
    refused = ""
    if failed and outcome == "cost":
        left["failed"] = len(failed)
        share = len(failed) / (len(failed) + len(rows) + left.get(_UNKNOWN, 0))
        if share > FAILURES:
            told = "and what they would have cost is not known: look at why, or ask about another time (--since)."
            refused = f"Not shown: {100 * share:.3g} % of the requests failed, {told}"
    elif failed:
        rows += [(e, 0.0) for e in _as_often(failed, len(rows) / max(len(rows) + left.get(_UNKNOWN, 0), 1), left)]
    if not rows:
        said = ", ".join(f"{n} {why}" for why, n in left.items()) or "there are none"
        raise BadInput(f"No logged request can be used: {said}.", hint="Serve the file that sprat study wrote first.")
    values = np.array([v for _, v in rows])
    bounds = (0.0, math.inf if outcome == "cost" else 1.0)  # the dearest request that was seen bounds no other
    logged, probabilities, kinds = _logged(choosing, target, rows, values, bounds, left)
    found = evaluate(logged, lambda _: probabilities)
    needed = _needed(choosing, target, logged, kinds) if found.refused else ""
    if refused:
        found, needed = dataclasses.replace(found, estimates=(), refused=refused, left_out=""), ""
    return Evaluated(name, outcome, found, float(logged.outcome.mean()), left, needed)


def _lacks(e: Exchange, signal: str) -> str:
    """Why a row can't be used; "" where it can."""
    if e.asked != AUTO or not e.setting:
        return "were not drawn by the policy"
    if e.status == _LEFT:
        return "were left by their client"
    if 400 <= e.status < 500 and not e.model and e.cost == 0:  # by a limit of its key's, say
        return "were refused before a model was asked"
    if e.propensity is None or not e.drawn:
        return "have no logged propensity"
    if (e.drawn == "action") != bool(signal) or (signal and signal not in e.trusts):
        return "were drawn by other settings than the file's"
    return ""


def _as_often(failed: Sequence[Exchange], share: float, left: dict[str, int]) -> list[Exchange]:
    """This share of the failed rows, drawn: their outcome is known of all, that of the others of so many alone."""
    drawn = np.random.default_rng(0).random(len(failed)) < share
    if not drawn.all():
        left["failed, beyond the share of requests with a score"] = int((~drawn).sum())
    return [e for e, taken in zip(failed, drawn, strict=True) if taken]


def _logged(
    choosing: Policy,
    target: Way,
    rows: Sequence[tuple[Exchange, float]],
    values: Any,
    bounds: tuple[float, float],
    left: dict[str, int],
) -> tuple[Logged, Any, list[Any]]:
    """The log, the target's probability of each action (n, actions), and what the actions are: models or settings."""
    signal = choosing.signal
    kinds: list[Any] = list(_route(choosing).models) if signal else list(choosing.ways)
    names = [name_of(m) for m in kinds] if signal else [w.name for w in kinds]
    done = [_did(e, names) if signal else e.setting for e, _ in rows]
    known = np.array([name in names for name in done])
    if not known.all():
        left["were answered by a model or setting that the file lacks"] = int((~known).sum())
        if not known.any():
            raise BadInput("No logged request was answered by a setting of this file.", hint="Give its own serve.toml.")
    kept = [row for row, ok in zip(rows, known, strict=True) if ok]
    trusts = np.array([[e.trusts[signal]] if signal else [0.0] for e, _ in kept])
    action = [names.index(name) for name, ok in zip(done, known, strict=True) if ok]
    propensity = [e.propensity or 0.0 for e, _ in kept]
    units = [e.thread or e.id for e, _ in kept]
    log = Logged.of(trusts, action, propensity, values[known], bounds, units)
    wanted = [asked(target.model, float(t)) for t in trusts[:, 0]] if signal else [target] * len(kept)
    probabilities = np.array([[float(w is k) for k in kinds] for w in wanted])
    return log, probabilities, kinds


def _did(e: Exchange, names: Sequence[str]) -> str:
    """The model that was chosen: where it failed another one answered, which belongs to its outcome."""
    tree: Any = e.card.get("asks") or {}
    return next((a["model"] for a in tree.get("asks", ()) if a.get("error") and a.get("model") in names), e.model)


def _needed(choosing: Policy, target: Way, log: Logged, kinds: list[Any]) -> str:
    """What exploring as the file does would need, in a sentence; where it does not, what a share of 0.05 would."""
    explore = choosing.explore or _EXPLORE
    covered, own = choosing.covered, choosing.own
    if choosing.signal:
        trusts = log.trusts[:, 0].tolist()
        wanted = [asked(target.model, t) for t in trusts]
        ways = [sum(asked(w.model, t) is want for w in covered) for t, want in zip(trusts, wanted, strict=True)]
        differs = [asked(own.model, t) is not want for t, want in zip(trusts, wanted, strict=True)]
        if min(ways) == 0:
            share = np.mean([n == 0 for n in ways])
            return (
                f"On {100 * share:.3g} % of these requests it would do what no certified setting does, so that "
                "exploring within the promise can't show it: ask about a safer policy, or study again."
            )
        d = float(np.mean(differs))
        p = explore * min([n for n, x in zip(ways, differs, strict=True) if x], default=len(covered)) / len(covered)
    else:
        if target not in covered:
            return "It is not certified, so exploring within the promise can't show it."
        d, p = 1.0, explore / len(covered)
    n = max(LEAST * (1 - d + d / p), HEAVY / max(d * p, 1e-9))
    now = ", as in this file" if choosing.explore else ""
    more = f"about {math.ceil(n):,} more requests of other threads would do."
    return f"With explore = {explore:g} under [promise]{now}, {more}"


def _target(choosing: Policy, served: Served, policy: str) -> tuple[str, Way]:
    """The policy that was asked about, by a name to show."""
    if policy.endswith(".toml"):
        return policy, Way(policy, _other(choosing, served, Path(policy)))
    ways = choosing.ways
    names = [way.name for way in ways]
    if policy.isdecimal() and 1 <= int(policy) <= len(ways):
        return names[int(policy) - 1], ways[int(policy) - 1]
    if policy in names:
        return policy, ways[names.index(policy)]
    match = re.fullmatch(r"at_least=(\d*\.?\d+(?:e-?\d+)?)", policy)
    if match is None:
        hint = f"Give at_least=0.6, a file, or one of: {'; '.join(f'{i} {n}' for i, n in enumerate(names, 1))}."
        raise BadInput(f"There is no setting '{policy}'.", hint=hint if names else nearest(policy, names))
    if not choosing.signal:
        hint = f"Ask about one of: {'; '.join(f'{i} {n}' for i, n in enumerate(names, 1))}."
        raise BadInput("The settings of this file don't share a signal, so that one threshold says nothing.", hint=hint)
    route = _route(choosing)
    cut = float(match[1])
    return policy, Way(policy, dataclasses.replace(route, at_least=(cut,) * len(route.at_least)))


def _other(choosing: Policy, served: Served, path: Path) -> Any:
    """The [way] of another file, over this one's models; BadInput unless it decides by the very same signal."""
    other = load(path).models[AUTO]
    hint = "Only another threshold of the same route can be told from this log."
    if not choosing.signal or not isinstance(other, Route):
        raise BadInput(f"{path} can't be compared: both files must be routes by one signal.", hint=hint)
    mine = _route(choosing)
    if not alike(other.trust, mine.trust):
        raise BadInput(f"{path} decides by another signal than the one that was logged.", hint=hint)
    if [name_of(m) for m in other.models] != [name_of(m) for m in mine.models]:
        raise BadInput(f"{path} asks other models than those that were logged.", hint=hint)
    return dataclasses.replace(mine, at_least=other.at_least)


def _route(choosing: Policy) -> Route:
    return next(w.model for w in (choosing.own, *choosing.ways) if isinstance(w.model, Route))


def alike(a: Any, b: Any) -> bool:
    """Whether two fitted values are the same: dataclasses field by field, arrays number by number."""
    if isinstance(a, Witness) and isinstance(b, Witness):
        return alike(a.signal, b.signal)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and bool(np.array_equal(a, b))
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return all(alike(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a) if f.compare)
    if isinstance(a, (tuple, list)):
        one, two = cast("Sequence[Any]", a), cast("Sequence[Any]", b)
        return len(one) == len(two) and all(alike(x, y) for x, y in zip(one, two, strict=True))
    return bool(a == b)


def _scores(labels: Sequence[Label]) -> dict[str, float]:
    """The score of each labelled exchange: a person's before a judge's before the watch's, else the newest."""
    last = {"human": 2, WATCHED: 0}
    found: dict[str, float] = {}
    for label in sorted(labels, key=lambda mark: (last.get(mark.source, 1), mark.at)):
        found[label.exchange] = label.score
    return found
