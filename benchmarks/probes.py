"""Does one look at a model's hidden states foretell its mistakes as well as drawing ten answers does?

The aquarium's fry and sprat on new problems: probes learn on one set and are measured on another, drawn from other
seeds; then with tasks left out, each task in turn. AUROC of "the greedy answer is wrong". Semantic entropy is the
discrete one, of ten draws at temperature 1. What a question costs is counted in tokens read and written.

Run: python benchmarks/probes.py [--models fry,sprat] [--fit 1800] [--test 1800] [--write]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from measured import header, table, write

import sprat
from sprat.aquarium import TASKS, problems
from sprat.core import Reply, Request
from sprat.data import Lessons
from sprat.drivers import drive
from sprat.encoders import StaticEncoder
from sprat.measure.resampling import bootstrap
from sprat.signals import logprob, p_ik
from sprat.signals.entropy_probe import best_split
from sprat.signals.probing import fit_probe, flat, states_of
from sprat.uncertainty.clusters import Draws, Exact, cluster
from sprat.uncertainty.entropy import semantic_entropy
from sprat.uncertainty.levels import Samples

DRAWS = 10


@dataclass
class Asked:
    """Problems with a model's greedy replies, whether they are right, and its draws."""

    requests: tuple[Request, ...]
    tasks: np.ndarray
    replies: tuple[Reply, ...]
    right: np.ndarray
    draws: list[tuple[str, ...]]
    tokens: float  # written per draw

    def entropies(self, n: int) -> np.ndarray:
        """The discrete semantic entropy of the first n draws, in nats."""
        told = [Draws(q.text, d[:n]) for q, d in zip(self.requests, self.draws, strict=True)]
        same = Exact().same(told)
        return np.array([semantic_entropy(Samples(t.question, t.texts), cluster(s), "discrete").value
                         for t, s in zip(told, same, strict=True)])  # fmt: skip


def asked(model: Any, count: int, seed: int) -> Asked:
    """New problems, answered and drawn."""
    made = list(problems(count, seed))
    requests = tuple(Request.of(p.prompt) for p in made)
    replies = tuple(model.batch(requests))
    drawn = model.batch([r.drawn(i + 1, temperature=1.0) for r in requests for i in range(DRAWS)])
    draws = [tuple(d.text or "" for d in drawn[i : i + DRAWS]) for i in range(0, len(drawn), DRAWS)]
    right = np.array([(r.text or "").strip() == p.answer for r, p in zip(replies, made, strict=True)])
    tokens = float(np.mean([len(r.tokens or ()) for r in drawn]))
    return Asked(requests, np.array([p.task for p in made]), replies, right, draws, tokens)


def auroc(wrong: np.ndarray, doubt: np.ndarray) -> float:
    """The chance that a wrong answer is doubted more than a right one; ties count half."""
    bad, good = doubt[wrong == 1], doubt[wrong == 0]
    if not len(bad) or not len(good):
        return float("nan")
    order = np.sort(good)
    below = np.searchsorted(order, bad, "left") + np.searchsorted(order, bad, "right")
    return float(below.mean() / (2 * len(good)))


def lessons(model: Any, data: Asked) -> Lessons:
    """What p(IK) learns from."""
    n = len(data.requests)
    return Lessons(data.requests, (model.name,), data.right.astype(float)[:, None], np.zeros((n, 1)),
                   {model.name: data.replies})  # fmt: skip


def doubts(model: Any, fit: Asked, test: Asked) -> dict[str, np.ndarray]:
    """Every measure's doubt about the test rows, the learnt ones fitted on the fit rows."""
    found: dict[str, np.ndarray] = {
        f"semantic entropy, {DRAWS} draws": test.entropies(DRAWS),
        "semantic entropy, 5 draws": test.entropies(5),
        "mean log-probability of the answer": np.array([-logprob()(q, r) for q, r in
                                                        zip(test.requests, test.replies, strict=True)]),
    }  # fmt: skip
    learnt = lessons(model, fit)
    encoded = p_ik(StaticEncoder()).fit(learnt)
    found["p(IK) over the embedded encoder"] = 1 - drive(encoded.trusts(test.requests))
    entropy = fit.entropies(DRAWS)
    high = (entropy >= best_split(entropy)).astype(float)
    for at, where in (("before", "before the answer"), ("end", "at its end")):
        signal = p_ik(model, at=at).fit(learnt)  # type: ignore[arg-type]
        found[f"p(IK) {where}"] = 1 - drive(signal.trusts(test.requests, test.replies))
        # As entropy_probe fits itself, on the draws at hand.
        head, layers = fit_probe(drive(states_of(model, at, fit.requests, fit.replies)), high, None, learnt.seed)  # type: ignore[arg-type]
        states = drive(states_of(model, at, test.requests, test.replies))  # type: ignore[arg-type]
        found[f"entropy probe {where}"] = head.predict(flat(states, layers))
    return found


def without_a_task(model: Any, fit: Asked, test: Asked) -> dict[str, list[float]]:
    """Each measure's AUROC within a task that its fit rows do not hold, per task where both answers occur often."""
    found: dict[str, list[float]] = {}
    for task in TASKS:
        out, rest = test.tasks == task, fit.tasks != task
        if min(test.right[out].sum(), (~test.right[out]).sum()) < 10:
            continue
        some = doubts(model, taken(fit, rest), taken(test, out))
        for name, doubt in some.items():
            found.setdefault(name, []).append(auroc(1 - test.right[out], doubt))
    return found


def taken(data: Asked, rows: np.ndarray) -> Asked:
    """These rows alone."""
    at = np.flatnonzero(rows).tolist()
    return Asked(tuple(data.requests[i] for i in at), data.tasks[at], tuple(data.replies[i] for i in at),
                 data.right[at], [data.draws[i] for i in at], data.tokens)  # fmt: skip


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="fry,sprat")
    parser.add_argument("--fit", type=int, default=1800)
    parser.add_argument("--test", type=int, default=1800)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.time()
    rows: list[dict[str, str]] = []
    record: list[dict[str, Any]] = []
    for name in told.models.split(","):
        model = sprat.tiny(name)
        fit, test = asked(model, told.fit, 9001), asked(model, told.test, 9002)
        new = ~np.isin([q.text for q in test.requests], [q.text for q in fit.requests])
        test = taken(test, new)
        prompt = float(np.mean([len(model.prompt(q)) for q in test.requests]))
        wrong = 1.0 - test.right
        found, apart = doubts(model, fit, test), without_a_task(model, fit, test)
        for measure, doubt in found.items():
            e = bootstrap(auroc, wrong, doubt, times=500)
            away = apart[measure]
            draws = int("".join(c for c in measure if c.isdigit()) or 0)
            free = "encoder" in measure or "log-probability" in measure
            read, written = (0.0 if free else prompt), draws * test.tokens
            rows.append({
                "model": name, "measure": measure, "AUROC of wrong": f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]",
                "task not seen, mean over tasks": f"{np.mean(away):.3f} ({min(away):.3f} to {max(away):.3f})",
                "tokens read, written beside the answer": f"{read:.1f}, {written:.1f}",
            })  # fmt: skip
            record.append({"model": name, "measure": measure, "auroc": list(e), "not_seen": away})
            print(rows[-1], flush=True)
        entropy = fit.entropies(DRAWS)
        share = float(np.mean(entropy >= best_split(entropy)))
        about = {"model": name, "test": len(wrong), "wrong": float(wrong.mean()), "split": best_split(entropy),
                 "high": share, "tasks": len(apart[measure])}  # fmt: skip
        record.append(about)
        print(about, flush=True)
    facts = [r for r in record if "split" in r]
    text = [
        "# One look at the hidden states against ten draws",
        "Aquarium problems; brackets are 95 % bootstrap intervals. "
        + " ".join(
            f"{r['model']}: {r['test']:,} test problems not among the fit ones, {100 * r['wrong']:.1f} % answered "
            f"wrongly; entropies of at least {r['split']:.2f} nats count as high ({100 * r['high']:.0f} %)."
            for r in facts
        )
        + " Layer and penalty are chosen on the fit rows. In the last but one column the fit rows hold no problem of "
        f"the task that is tested; mean, least and most over the tasks with at least ten right and ten wrong answers "
        f"({', '.join(str(r['tasks']) for r in facts)}). In practice the states fall off while the answer is written.",
        "",
        *table(rows),
    ]
    if told.write:
        command = f"python benchmarks/probes.py --models {told.models} --fit {told.fit} --test {told.test} --write"
        write("probes", {"about": header(command, 9001, time.time() - began), "rows": record}, text)


if __name__ == "__main__":
    main()
