"""Measures sprat's routers beside RouteLLM's and LLMRouter's own code, on the same rows, outcomes and splits.

RouteLLM 0.2.0 (compute_elo_mle_with_tie, MFModel_Train with its own settings) and LLMRouter 0.4.0 (BilinearMF with its
own settings; its kNN, SVM and MLP routers are scikit-learn estimators of the best model, made here with the settings
that it ships). Needs torch, scikit-learn and pandas; the two packages are read from the folder that their wheels were
unpacked into, since importing them whole asks for API keys: their OpenAI client and data loaders are never called.

    python benchmarks/peers_routers.py --peers FOLDER --minilm-rows rows.npy --data $SPRAT_DATA
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import io
import json
import os
import platform
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from routers import ROOT, Kept, read, split, trusts

from sprat import signals as s
from sprat.drivers import drive
from sprat.study.metrics import apgr

SMALL, LARGE = "small", "large"
# Some peers take long per query: fewer queries, the same ones for ours.
ASKED = {"RouteLLM sw_ranking": 200, "LLMRouter svm": 1000, "LLMRouter knn": 1000}


def theirs(path: Path, name: str, **stubs: Any) -> Any:
    """A peer's file as a module; `stubs` stand for modules that it imports and that are not called here."""
    for module, parts in stubs.items():
        sys.modules.setdefault(module.replace("__", "."), types.SimpleNamespace(**parts))  # type: ignore[arg-type]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def timed(into: dict[str, float], key: str) -> Iterator[None]:
    """Adds seconds of processor time to `into[key]`: others' load on the machine does not count."""
    began = time.process_time()
    yield
    into[key] = into.get(key, 0.0) + time.process_time() - began


def one_by_one(score: Callable[[int], float], n: int, into: dict[str, float]) -> np.ndarray:
    """A peer's score of `n` queries, asked one by one as it serves them."""
    with timed(into, "serve"):
        return np.array([score(i) for i in range(n)])


def routellm_sw(utils: Any, x: np.ndarray, scores: np.ndarray, asked: np.ndarray, t: dict[str, float]) -> np.ndarray:
    """P(small wins) by RouteLLM's weighted Elo fit per query."""
    import pandas

    winner = np.select([scores[:, 0] > scores[:, 1], scores[:, 0] < scores[:, 1]], ["model_a", "model_b"], "tie")
    battles = pandas.DataFrame({"model_a": SMALL, "model_b": LARGE, "winner": winner})
    lengths = np.linalg.norm(x, axis=1)

    def score(i: int) -> float:
        similar = x @ asked[i] / (lengths * np.linalg.norm(asked[i]))
        elo = utils.compute_elo_mle_with_tie(battles, sample_weight=10 * 10 ** (similar / np.max(similar)))
        return 1 / (1 + 10 ** ((elo[LARGE] - elo[SMALL]) / 400))

    return one_by_one(score, len(asked), t)


def routellm_mf(train: Any, x: np.ndarray, scores: np.ndarray, asked: np.ndarray, t: dict[str, float]) -> np.ndarray:
    """P(small wins) by RouteLLM's matrix factorization, trained with the settings in its file."""
    import torch

    rows = np.flatnonzero(scores[:, 0] != scores[:, 1])
    path = ROOT / "peer_rows.npy"
    np.save(path, x)
    try:
        names = {SMALL: "mixtral-8x7b-instruct-v0.1", LARGE: "gpt-4-1106-preview"}
        battles = [
            {"model_a": names[SMALL], "model_b": names[LARGE], "idx": int(i),
             "winner": "model_a" if scores[i, 0] > scores[i, 1] else "model_b"}
            for i in rows
        ]  # fmt: skip
        with timed(t, "fit"), contextlib.redirect_stderr(io.StringIO()):
            torch.manual_seed(42)
            model = train.MFModel_Train(
                dim=128, num_models=64, num_prompts=len(x), text_dim=x.shape[1], npy_path=str(path)
            )
            batches = train.PairwiseDataset(battles).get_dataloaders(64)
            held = train.PairwiseDataset(battles[:64]).get_dataloaders(1024, shuffle=False)
            train.train_loops(model, batches, held, lr=3e-4, weight_decay=1e-5, alpha=0.1, num_epochs=100, device="cpu")
    finally:
        path.unlink(missing_ok=True)
    ids = torch.tensor([train.MODEL_IDS[names[SMALL]], train.MODEL_IDS[names[LARGE]]])

    @torch.no_grad()
    def score(i: int) -> float:
        models = torch.nn.functional.normalize(model.P(ids), p=2, dim=1)
        logits = model.classifier(models * model.text_proj(torch.from_numpy(asked[i]))).squeeze()
        return torch.sigmoid(logits[0] - logits[1]).item()

    return one_by_one(score, len(asked), t)


def llmrouter_mf(mf: Any, x: np.ndarray, scores: np.ndarray, asked: np.ndarray, t: dict[str, float]) -> np.ndarray:
    """Sigmoid of the difference by LLMRouter's BilinearMF and the loop of its trainer: 5 epochs, batches of 64."""
    import torch

    torch.manual_seed(42)
    best = np.argmax(scores, axis=1)
    rows, wins, lost = torch.from_numpy(x), torch.from_numpy(best), torch.from_numpy(1 - best)
    with timed(t, "fit"):
        model = mf.BilinearMF(dim=128, num_models=2, text_dim=x.shape[1])
        adam = torch.optim.Adam(model.parameters(), lr=1e-3)
        loss = torch.nn.BCEWithLogitsLoss()
        for _ in range(5):
            for some in torch.randperm(len(x)).split(64):
                adam.zero_grad()
                logit = model(wins[some], lost[some], model.text_proj(rows[some]))
                loss(logit, torch.ones_like(logit)).backward()
                adam.step()

    @torch.no_grad()
    def score(i: int) -> float:
        logits = model.score_all(model.project_text(torch.from_numpy(asked[i])))
        return torch.sigmoid(logits[0] - logits[1]).item()

    return one_by_one(score, len(asked), t)


def llmrouter_sk(kind: str, x: np.ndarray, scores: np.ndarray, asked: np.ndarray, t: dict[str, float]) -> np.ndarray:
    """P(small is best) by the estimator and settings of LLMRouter's knn, svm or mlp router."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    made: Any = {
        "knn": lambda: KNeighborsClassifier(n_neighbors=5, weights="uniform"),
        "svm": lambda: SVC(kernel="rbf", C=1.0, gamma="scale", probability=True),
        "mlp": lambda: MLPClassifier([128, 64], alpha=1e-4, learning_rate_init=1e-3, max_iter=500, random_state=42),
    }[kind]()
    with timed(t, "fit"):
        made.fit(x, np.argmax(scores, axis=1))
    return one_by_one(lambda i: float(made.predict_proba(asked[i : i + 1])[0, 0]), len(asked), t)


def main() -> None:
    """Runs the comparison and records it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", type=Path, required=True, help="folder with routellm/ and llmrouter/")
    parser.add_argument("--data", type=Path, default=os.environ.get("SPRAT_DATA"))
    parser.add_argument("--minilm-rows", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=3)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    route, other = args.peers / "routellm/routers", args.peers / "llmrouter/models"
    utils = theirs(route / "similarity_weighted/utils.py", "sw_utils", openai={"OpenAI": lambda: None})
    client = {"OPENAI_CLIENT": None}
    theirs(route / "matrix_factorization/model.py", "routellm.routers.matrix_factorization.model",
           routellm__routers__similarity_weighted__utils=client)  # fmt: skip
    train = theirs(route / "matrix_factorization/train_matrix_factorization.py", "mf_train")
    unused = ("load_model", "get_longformer_embedding", "call_api", "generate_task_query", "calculate_task_performance")
    mf = theirs(other / "mfrouter/router.py", "llm_mf", llmrouter__models__meta_router={"MetaRouter": object},
                llmrouter__utils=dict.fromkeys(unused))  # fmt: skip
    load = os.getloadavg()[0]
    lessons, subjects = read(Path(args.data))
    x = np.load(args.minilm_rows)
    peers: dict[str, tuple[Callable[..., np.ndarray], str, Any]] = {
        "RouteLLM sw_ranking": (lambda *a: routellm_sw(utils, *a), "similarity_weighted", s.similarity_weighted),
        "RouteLLM mf": (lambda *a: routellm_mf(train, *a), "matrix_factorization", s.matrix_factorization),
        "LLMRouter mf": (lambda *a: llmrouter_mf(mf, *a), "matrix_factorization", s.matrix_factorization),
        "LLMRouter knn": (lambda *a: llmrouter_sk("knn", *a), "knn", s.knn),
        "LLMRouter svm": (lambda *a: llmrouter_sk("svm", *a), "ridge_gain", s.ridge_gain),
        "LLMRouter mlp": (lambda *a: llmrouter_sk("mlp", *a), "classifier", s.classifier),
    }
    encoder, found = Kept("minilm", lessons.texts, x), list[dict[str, Any]]()
    for i in range(args.splits):
        inner, outer = split(subjects, i, False)
        taught, held = lessons.take(inner), lessons.take(outer)
        for name, (peer, our_name, make) in peers.items():
            some = np.arange(ASKED.get(name, len(outer)))
            asked = held.take(some)
            t: dict[str, float] = {}
            keep = peer(x[inner], taught.scores, x[outer][some], t)
            ours: dict[str, float] = {}
            with timed(ours, "fit"):
                fitted = make(encoder=encoder).fit(taught)
            with timed(ours, "bulk"):
                mine = drive(fitted.trusts(asked.requests))
            with timed(ours, "stepped"):
                stepped = trusts(fitted, asked)
            assert np.abs(mine - stepped).max() < 1e-6
            with timed(ours, "alone"):
                single = [fitted(r) for r in asked.requests[:200]]
            small, large = asked.scores[:, 0], asked.scores[:, 1]
            found.append({
                "split": i, "peer": name, "ours": our_name, "queries": len(some),
                "peer_apgr": apgr(keep, small, large), "our_apgr": apgr(mine, small, large),
                "peer_fit": t.get("fit", 0.0), "our_fit": ours["fit"],
                "peer_ms": 1000 * t["serve"] / len(some), "our_ms": 1000 * ours["bulk"] / len(some),
                "our_ms_stepped": 1000 * ours["stepped"] / len(some),
                "our_ms_alone": 1000 * ours["alone"] / len(single),
                "greatest_difference": float(np.abs(keep - mine).max()),
            })  # fmt: skip
            print(json.dumps(found[-1]), flush=True)
    keys = ("peer_apgr", "our_apgr", "peer_fit", "our_fit", "peer_ms", "our_ms", "our_ms_stepped", "our_ms_alone")
    lines = [
        "# Routers beside RouteLLM and LLMRouter (MMLU outcomes, MiniLM rows, random halves)", "",
        "| peer | ours | APGR peer | APGR ours | fit s peer | fit s ours | ms/query peer | ours, in bulk "
        "| times faster | ours, stepped | ours, alone |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, (_, our_name, _) in peers.items():
        m = {k: float(np.mean([f[k] for f in found if f["peer"] == name])) for k in keys}
        lines.append(
            f"| {name} | {our_name} | {m['peer_apgr']:.3f} | {m['our_apgr']:.3f} | {m['peer_fit']:.2f} "
            f"| {m['our_fit']:.2f} | {m['peer_ms']:.3f} | {m['our_ms']:.4f} | {m['peer_ms'] / m['our_ms']:.0f} "
            f"| {m['our_ms_stepped']:.3f} | {m['our_ms_alone']:.3f} |"
        )
    same = max(f["greatest_difference"] for f in found if f["ours"] == "similarity_weighted")
    about = (
        f"{datetime.date.today()}, {args.splits} splits of {len(lessons)} rows, {platform.machine()}, load {load:.1f}"
    )
    lines += [
        "", f"sw_ranking and similarity_weighted differ by at most {same:.1e} in P(small wins); slow "
        f"peers are asked fewer queries ({ASKED}; else all), on which both are measured. Peers serve "
        f"one query at a time; ours is shown in bulk (trusts(), one call), stepped (a coroutine per query, together) "
        f"and alone (a query at a time, as the peers). 'Times faster' is ours in bulk against theirs one at a time, "
        "the only way that they serve; asked a query at a time, our matrix factorization takes about as long. "
        f"Processor time, one thread; rows already encoded. {about}.",
        "The defaults of ours were settled with splits 0 to 2 in view, those of the peers are as shipped: tuned, the "
        "peers could do better. LLMRouter's training loop for mf is written again here after its trainer.", "",
    ]  # fmt: skip
    (ROOT / "peers_routers.md").write_text("\n".join(lines), encoding="utf-8")
    (ROOT / "peers_routers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
