"""Uncertainty from 20 draws of 500 questions: AUROC of "wrong", settings chosen on half; and other packages' numbers.

The answer judged is the first draw; it is right where its ROUGE-L with the gold answer is above .3 (arXiv 2302.09664);
exact match is shown beside. Settings (likeness threshold, containment, share or mean) are chosen on a random half by
AUROC and measured on the other, over 20 splits; intervals are bootstraps over questions at the settings chosen on the
first split's half, on the other half. Conventions: the other packages' own functions are read from their source and run
on the same clusters, with made token log-probabilities (the recorded draws have none).

    python benchmarks/uncertainty.py --data $SPRAT_DATA --encoder MINILM_FOLDER [--peers FOLDER] [--nli small]
        [--questions] [--write]

Without --encoder only what goes by inference (--nli) or by questions is measured, and added to what was written before.
Questions are those of rules, answered by the embedded encoder, as self_check(how="qa") does with no model at hand; its
own arithmetic is driven over the recorded draws.

PEERS holds lm_polygraph/ and uqlm/ as unpacked wheels, jlko.py (semantic_entropy.py of jlko/semantic_uncertainty) and
kuhn.py (compute_confidence_measure.py of lorenzkuhn/semantic_uncertainty). rouge_score must be installed.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from measured import RESULTS, header, table, trusts, write

from sprat import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.encoders import StaticEncoder
from sprat.encoders import cached as kept
from sprat.endpoints.toy import toy
from sprat.measure.calibration import auroc
from sprat.measure.exact import exact, normalised
from sprat.measure.resampling import bootstrap
from sprat.nli import named
from sprat.sentences import sentences
from sprat.signals import self_check
from sprat.similarity import HubTokens, StaticTokens, cached
from sprat.uncertainty import Alike, Entailment, Exact, Samples, cluster, graph, semantic_entropy
from sprat.uncertainty.clusters import Draws, reassigning
from sprat.uncertainty.self_check import by_bertscore, by_ngram
from sprat.uncertainty.self_check import self_checked as by_inference

SPLITS = 20
PARTS = RESULTS / "uncertainty.json"
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


class Pooled:
    """A sentence encoder: the mean of a transformers model's last vectors, as all-MiniLM-L6-v2 is used."""

    name, dim = "all-MiniLM-L6-v2, mean pooled", 384

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder), AutoModel.from_pretrained(self.folder).eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        tokenizer, model = self.loaded
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), self.dim), np.float32)
        for at in range(0, len(order), 64):
            part = order[at : at + 64]
            put = tokenizer([texts[i] for i in part], padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                hidden, mask = model(**put)[0], put["attention_mask"][..., None]
                pooled = (hidden * mask).sum(1) / mask.sum(1)
                out[part] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return out


class Cosines:
    """An encoder whose rows were computed before."""

    def __init__(self, encoder: Any, texts: Sequence[str]) -> None:
        unique = list(dict.fromkeys(texts))
        self.rows = dict(zip(unique, encoder.encode(unique), strict=True))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.rows[t] for t in texts])


def entropy(ids: np.ndarray, draws: Draws) -> float:
    """Discrete semantic entropy."""
    return semantic_entropy(Samples(draws.question, draws.texts), ids).value


def families(asked: list[Draws], encoders: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """For each measure, its uncertainties (n,) at every setting."""
    out: dict[str, dict[str, np.ndarray]] = {}

    def add(measure: str, setting: str, values: Sequence[float]) -> None:
        out.setdefault(measure, {})[setting] = np.array(values)

    same = Exact().same(asked)
    add("entropy, exact", "-", [entropy(cluster(m), d) for m, d in zip(same, asked, strict=True)])
    add("this answer, exact", "-", [1 - m[0, 1:].mean() for m in same])
    for name, encoder in encoders.items():
        for threshold, contained in itertools.product(THRESHOLDS, (True, False)):
            setting = f"{threshold}{', containment' if contained else ''}"
            found = Alike(encoder, threshold, contained).same(asked)
            values = [entropy(cluster(m), d) for m, d in zip(found, asked, strict=True)]
            add(f"entropy, {name} clusters", setting, values)
            add(f"this answer, {name}", f"share at {setting}", [1 - m[0, 1:].mean() for m in found])
        w = Alike(encoder).likeness(asked)
        add(f"this answer, {name}", "mean likeness", [1 - m[0, 1:].mean() for m in w])
        add(f"degree, {name}", "-", [graph.degree(m).value for m in w])
        add(f"eccentricity, {name}", "-", [graph.eccentricity(m).value for m in w])
        add(f"eigenvalue, {name}", "-", [graph.eigenvalue(m).value for m in w])
        add(f"eccentricity of the answer, {name}", "-", [graph.eccentricity_of(m).value for m in w])
    out["this answer, either encoder"] = {
        f"{name}, {k}": v for name in encoders for k, v in out[f"this answer, {name}"].items()
    }
    said = [sentences(d.texts[0]) or [d.texts[0].strip() or "."] for d in asked]
    grams = [by_ngram(s, d.texts[0], d.texts[1:]) for s, d in zip(said, asked, strict=True)]
    add("self-check, unigram", "-", [np.mean([g.mean for g in each]) for each in grams])
    return out


def inferred(asked: list[Draws], name: str) -> dict[str, dict[str, np.ndarray]]:
    """What goes by inference: entropy by each rule for clusters, agreement of this answer, and self-check."""
    nli = named(name)
    out: dict[str, dict[str, np.ndarray]] = {}
    for question in (True, False):
        setting = "with the question" if question else "answers alone"
        found = Entailment(nli, with_question=question).judged(asked)
        for rule in ("strict", "lax"):
            same = [Entailment(nli, rule).same_of(f) for f in found]
            values = [entropy(cluster(m), d) for m, d in zip(same, asked, strict=True)]
            out.setdefault(f"entropy, NLI {name}", {})[f"{rule}, {setting}"] = np.array(values)
            shares = np.array([1 - m[0, 1:].mean() for m in same])
            out.setdefault(f"this answer, NLI {name}", {})[f"share, {rule}, {setting}"] = shares
        w = [Entailment(nli).likeness_of(f) for f in found]
        likeness = np.array([1 - m[0, 1:].mean() for m in w])
        out[f"this answer, NLI {name}"][f"mean likeness, {setting}"] = likeness
        out.setdefault(f"degree, NLI {name}", {})[setting] = np.array([graph.degree(m).value for m in w])
    checked = np.array(by_inference([d.texts for d in asked], nli))
    out[f"self-check, NLI {name}"] = {"-": np.nan_to_num(checked, nan=1.0)}
    return out


def questioned(asked: list[Draws]) -> np.ndarray:
    """Self-check by questions of rules: 1 less the signal's trust in the first draw, (n,)."""
    rows = [
        Example(str(i), Request.of(f"{i}: {d.question}"), None,
                tuple(Call("m", Reply(text, "m"), k) for k, text in enumerate(d.texts)))
        for i, d in enumerate(asked)
    ]  # fmt: skip
    signal = self_check(toy("m", "never asked"), samples=len(asked[0].texts) - 1, how="qa")
    return 1 - trusts(signal, Dataset(tuple(rows)), "m")


def self_checked(draws: Draws, reader: Any) -> float:
    """SelfCheckGPT by BERTScore, the mean over the answer's sentences; 1 for an empty answer."""
    said = sentences(draws.texts[0])
    return float(np.mean(by_bertscore(said, [sentences(t) for t in draws.texts[1:]], reader))) if said else 1.0


def over_splits(found: dict[str, np.ndarray], right: np.ndarray) -> dict[str, Any]:
    """AUROC on the other half, over random halves: mean, least, most; and one half's interval."""
    scored: list[float] = []
    first: list[Any] = []
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(right))
        fit, held = order[: len(right) // 2], order[len(right) // 2 :]
        best = max(found, key=lambda k: auroc(confident(found[k][fit]), right[fit]))
        scored.append(auroc(confident(found[best][held]), right[held]))
        if not first:
            e = bootstrap(auroc, confident(found[best][held]), right[held], times=1000, seed=0)
            first = [best, [e.value, e.low, e.high]]
    return {"mean": float(np.mean(scored)), "least": min(scored), "most": max(scored),
            "chosen": first[0], "interval": first[1]}  # fmt: skip


def confident(uncertainty: np.ndarray) -> np.ndarray:
    """The same order as a confidence in [0, 1]."""
    order = np.unique(-uncertainty, return_inverse=True)[1]
    return order / max(1, order.max())


# Other packages' numbers.


def functions(path: Path, names: Sequence[str], **around: Any) -> dict[str, Any]:
    """Functions and classes of a source file by name, without importing its package."""
    source = path.read_text()
    kept = [ast.get_source_segment(source, n) for n in ast.parse(source).body if getattr(n, "name", "") in names]
    space: dict[str, Any] = {"np": np, "math": math, **around}
    exec("\n\n".join(["from __future__ import annotations", *(part or "" for part in kept)]), space)
    return space


def conventions(peers: Path, asked: list[Draws]) -> dict[str, float]:
    """The largest difference from each package's own function, over all questions."""
    import torch
    from scipy.linalg import eigh

    estimators = peers / "lm_polygraph" / "estimators"
    around = {"Estimator": object, "eigh": eigh, "log": None}
    polygraph = functions(estimators / "semantic_entropy.py", ["SemanticEntropy"], **around)["SemanticEntropy"]
    graphs = {
        "degree": functions(estimators / "deg_mat.py", ["DegMat"], **around)["DegMat"],
        "eigenvalue": functions(estimators / "eig_val_laplacian.py", ["EigValLaplacian"], **around)["EigValLaplacian"],
        "eccentricity": functions(estimators / "eccentricity.py", ["Eccentricity"], **around)["Eccentricity"],
    }
    names = ["logsumexp_by_id", "predictive_entropy_rao", "predictive_entropy", "cluster_assignment_entropy",
             "get_semantic_ids"]  # fmt: skip
    jlko = functions(peers / "jlko.py", names)
    kuhn = functions(
        peers / "kuhn.py", ["get_predictive_entropy_over_concepts"], torch=torch, llh_shift=torch.tensor(5.0)
    )
    uqlm = functions(
        peers / "uqlm" / "nli" / "entropy_utils.py",
        ["normalize_entropy", "compute_semantic_entropy", "compute_response_probabilities", "length_norm_sequence_prob",
         "compute_cluster_probabilities", "normalize_cluster_probabilities"],
    )  # fmt: skip
    rng, worst = np.random.default_rng(0), dict[str, float]()

    def differs(name: str, ours: float, theirs: Any) -> None:
        worst[name] = max(worst.get(name, 0.0), abs(float(ours) - float(theirs)))

    for draws, same, w in zip(asked, Exact().same(asked), Alike().likeness(asked), strict=True):
        ids = cluster(same)
        n, k = len(ids), int(ids.max()) + 1
        logprobs = tuple(tuple((-rng.exponential(0.5, rng.integers(1, 9))).tolist()) for _ in range(n))
        samples = Samples(draws.question, draws.texts, logprobs)
        mean = [float(np.mean(row)) for row in logprobs]

        def ours(convention: str, samples: Samples = samples, ids: np.ndarray = ids) -> float:
            return semantic_entropy(samples, ids, convention).value

        listed = ids.tolist()
        logs = np.array(jlko["logsumexp_by_id"](listed, np.array(mean)))
        differs("jlko: semantic_entropy", ours("rao"), jlko["predictive_entropy_rao"](logs))
        differs("jlko: cluster_assignment_entropy", ours("discrete"), jlko["cluster_assignment_entropy"](listed))
        differs("monte_carlo, by jlko's functions", ours("monte_carlo"), jlko["predictive_entropy"](logs[ids]))
        put = torch.tensor(mean, dtype=torch.float64)[None, None, :], torch.tensor(ids)[None, None, :]
        differs(
            "lorenzkuhn: over concepts (32 bit)", ours("kuhn"), kuhn["get_predictive_entropy_over_concepts"](*put)[0]
        )
        classes = [np.flatnonzero(ids == c).tolist() for c in range(k)]
        semantic = {"class_to_sample": {0: classes}, "sample_to_class": {0: dict(enumerate(listed))}}
        stats = {"sample_log_probs": [[sum(r) for r in logprobs]], "sample_texts": [list(draws.texts)],
                 "semantic_classes_entail": semantic}  # fmt: skip
        for how, name in (("mean", "lm_polygraph"), ("direct", "lm_polygraph_direct")):
            theirs = _without_init(polygraph, class_probability_estimation="sum", entropy_estimation=how,
                                   use_unique_responses=False)  # fmt: skip
            differs(f"lm-polygraph: SemanticEntropy, {how}", ours(name), theirs(stats)[0])
        counted = _without_init(polygraph, class_probability_estimation="frequency", entropy_estimation="mean",
                                use_unique_responses=False)  # fmt: skip
        differs("lm-polygraph: SemanticEntropyEmpirical", ours("discrete"), counted(stats)[0])
        told, uniform = uqlm["compute_response_probabilities"]([[{"logprob": v} for v in r] for r in logprobs], n)
        for name, p in (("uqlm", told), ("uqlm_discrete", uniform)):
            found = uqlm["compute_semantic_entropy"](uqlm["compute_cluster_probabilities"](p, classes))
            differs(f"uqlm: {name}", ours(name), uqlm["normalize_entropy"]([found], n - 1)[0])
        matrix = {"sample_texts": [list(draws.texts)], "semantic_matrix_entail": w[None]}
        fields = {"similarity_score": "NLI_score", "affinity": "entail", "verbose": False, "thres": 0.9}
        for name, kind in graphs.items():
            theirs = _without_init(kind, **fields)(matrix)[0]
            differs(f"lm-polygraph: {name}", getattr(graph, name)(w).value, theirs)

        class Told:
            """An inference model that answers by the matrix, so that jlko's clustering can be run."""

            def check_implication(self, a: int, b: int, example: Any = None, same: np.ndarray = same) -> int:
                return 2 if same[a, b] else 0

        wanted = np.unique(jlko["get_semantic_ids"](list(range(n)), Told()), return_inverse=True)[1]
        differs("jlko: get_semantic_ids, as it assigns anew", 0, np.abs(reassigning(same) - wanted).max())
    return worst


def _without_init(kind: Any, **fields: Any) -> Callable[[Any], Any]:
    made = kind.__new__(kind)
    vars(made).update(fields)
    return made


def main() -> None:
    """Run, print and, if told, write results/uncertainty.*."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder")
    parser.add_argument("--nli", help="small, or hub:NAME")
    parser.add_argument("--questions", action="store_true")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--draws", type=int, nargs="*", default=[5, 10], help="none: the conventions alone")
    parser.add_argument("--write", action="store_true", help="add to what was written before")
    given = parser.parse_args()
    began = time.process_time()
    from rouge_score.rouge_scorer import RougeScorer

    with gzip.open(given.data / "sampled_answers" / "triviaqa_samples.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rouge = [scorer.score(normalised(r["answer"]), normalised(r["samples"][0]))["rougeL"].fmeasure for r in rows]
    outcomes = {"ROUGE-L > .3": np.array([float(v > 0.3) for v in rouge]),
                "exact": np.array([exact(r["samples"][0], r["answer"]) for r in rows])}  # fmt: skip
    texts = [t for r in rows for t in r["samples"][:10]]
    encoders: dict[str, Any] = {}
    if given.draws and given.encoder:
        encoders = {"MiniLM": Cosines(kept(Pooled(given.encoder)), texts), "static": Cosines(StaticEncoder(), texts)}
    readers = {"MiniLM": cached(HubTokens(given.encoder, 6)), "static": StaticTokens()} if encoders else {}
    before = json.loads(PARTS.read_text()) if given.write and PARTS.exists() else {}
    commit = header("", 0, 0)["commit"]
    of_old = [m for told in before.get("auroc", {}).values() for m in told]
    commits = before.get("commits") or dict.fromkeys(of_old, before.pop("about", {}).get("commit"))
    before.pop("about", None)  # the header is of what is written now
    found: dict[str, Any] = before | {"share right": {k: float(v.mean()) for k, v in outcomes.items()}}
    found.setdefault("auroc", {})
    for n in given.draws:
        asked = [Draws(r["question"], tuple(r["samples"][:n])) for r in rows]
        measures = families(asked, encoders) if encoders else {}
        if given.nli:
            measures |= inferred(asked, given.nli)
        if given.questions:
            measures["self-check, questions by rules"] = {"-": questioned(asked)}
        for name, reader in readers.items():
            each = [self_checked(d, reader) for d in asked]
            measures[f"self-check, BERTScore {name}"] = {"-": np.array(each)}
        commits |= dict.fromkeys(measures, commit)
        for told, right in outcomes.items():
            for measure, settings in measures.items():
                found["auroc"].setdefault(f"{n} draws, {told}", {})[measure] = over_splits(settings, right)
    if given.peers:
        asked = [Draws(r["question"], tuple(r["samples"][:10])) for r in rows]
        found["conventions"] = conventions(given.peers, asked)
    found["commits"] = commits
    print(json.dumps(found, indent=1))
    if given.write:
        found["cpu seconds"] = before.get("cpu seconds", 0) + time.process_time() - began
        PARTS.write_text(json.dumps(found))
        if len(found["auroc"]) == 4 and "conventions" in found:
            _write(found, found["cpu seconds"])


def _write(found: dict[str, Any], seconds: float) -> None:
    main_columns = list(found["auroc"])
    form = "{mean:.3f} ({least:.3f} to {most:.3f})"
    body = [
        {"measure": m}
        | {c: form.format(**found["auroc"][c][m]) for c in main_columns}
        | {"commit": found["commits"][m]}
        for m in found["auroc"][main_columns[0]]
    ]
    bars = [
        ("discrete entropy, exact answers", "entropy, exact", 10, 0.82),
        ("discrete entropy, MiniLM clusters", "entropy, MiniLM clusters", 10, 0.85),
        ("agreement of this answer, MiniLM", "this answer, MiniLM", 5, 0.90),
        ("agreement of this answer, MiniLM", "this answer, MiniLM", 10, 0.92),
        ("agreement of this answer, encoder chosen too", "this answer, either encoder", 5, 0.90),
        ("agreement of this answer, encoder chosen too", "this answer, either encoder", 10, 0.92),
    ]
    shown: list[dict[str, str]] = []
    for what, measure, n, bar in bars:
        row = {"what": what, "draws": str(n), "bar": f"{bar:.2f}"}
        for told in found["share right"]:
            v = found["auroc"][f"{n} draws, {told}"][measure]
            row[f"right by {told}"] = f"{v['mean']:.3f}"
            row[f"one half by {told}, 95 %"] = "{:.3f} [{:.3f}, {:.3f}]".format(*v["interval"])
            row[f"chosen there by {told}"] = v["chosen"]
        shown.append(row)
    right = ", ".join(f"{k}: {v:.1%}" for k, v in found["share right"].items())
    text = [
        "# Uncertainty from draws",
        f"500 TriviaQA questions, draws of one model; right by {right}. AUROC of wrong answers on the half that",
        "settings were not chosen on: the mean over 20 random halves, and its range. Entropies, degree, eccentricity",
        "and eigenvalue judge the question; this answer, its eccentricity and self-check judge the answer.",
        "",
        *table(shown),
        *table(body),
    ]
    if "conventions" in found:
        apart = [{"package": k, "apart": f"{v:.1e}"} for k, v in found["conventions"].items()]
        text += [
            "Largest difference from the packages' own functions on shared clusters of 10 draws:",
            "",
            *table(apart),
        ]
    command = "python benchmarks/uncertainty.py --data $SPRAT_DATA --encoder FOLDER --peers FOLDER --nli small "
    command += "--questions --write"
    write("uncertainty", {"about": header(command, 0, seconds), **found}, text)


if __name__ == "__main__":
    sys.exit(main())
