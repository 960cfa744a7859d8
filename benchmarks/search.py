"""Weak-to-strong search against best-of-n at equal generated tokens, greedy and plain sampling.

    OMP_NUM_THREADS=1 python benchmarks/search.py --scene short|hot|long

short: mackerel steered by sprat-tuned/sprat, at temperature 1 (replies of about 3 tokens that it is sure of). hot: the
same at temperature 2. long: fry, at temperature 1, on sorting four or five numbers (about 13 tokens), steered by
sprat/fry, so the guide is larger than what it guides. Rewards are the pair's log-ratio and whether the answer is right.
The setting (beams, samples, chunk) is chosen on other prompts than those it is reported on. Best-of-n has the smallest
n that writes at least as many tokens as the search.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from measured import header, table, write

import sprat
from sprat.aquarium.marked import marked_problems
from sprat.aquarium.problems import Problem, problems
from sprat.core import Request
from sprat.decoding.log_ratio import log_ratio
from sprat.decoding.search import search

TOP_K, DEVELOPMENT, REPORTED = 50, 80, 300


@dataclass(frozen=True)
class Scene:
    """Who is steered by whom, over what."""

    large: str
    tuned: str
    untuned: str
    temperature: float
    draws: int
    settings: tuple[tuple[int, int, int], ...]
    marked: bool


SCENES = {
    "short": Scene("mackerel", "sprat-tuned", "sprat", 1.0, 17, ((2, 2, 2), (4, 4, 1), (4, 4, 2)), True),
    "hot": Scene("mackerel", "sprat-tuned", "sprat", 2.0, 44, ((2, 2, 1), (2, 2, 2), (4, 4, 2)), True),
    "long": Scene("fry", "sprat", "fry", 1.0, 20, ((2, 2, 2), (4, 4, 1), (4, 4, 2), (4, 4, 5)), False),
}


def asked(scene: Scene, n: int) -> list[Problem]:
    """n different problems."""
    drawn = marked_problems(20 * n, 5) if scene.marked else problems(60 * n, 5)
    fit = [p for p in drawn if scene.marked or (p.task == "sort" and p.difficulty >= 4)]
    return list({p.prompt: p for p in fit}.values())[:n]


def searched(setting: tuple[int, int, int], heat: float, large: Any, pair: Any, asked: list[Problem]) -> dict:
    """Rewards, right answers and generated tokens of one setting."""
    beams, samples, chunk = setting
    model = search(large, tuned=pair.tuned, untuned=pair.untuned, beams=beams, samples=samples, chunk=chunk,
                   top_k=TOP_K, temperature=heat)  # fmt: skip
    began = time.process_time()
    replies = model.batch([p.prompt for p in asked], seed=3)
    told = [r.decoded.told["search"] for r in replies]
    return {
        "reward": np.array([t["score"] for t in told]),
        "right": np.array([float(r.text == p.answer) for r, p in zip(replies, asked, strict=True)]),
        "tokens": np.array([t["generated"] for t in told], float),
        "seconds": time.process_time() - began,
    }


def drawn(large: Any, pair: Any, asked: list[Problem], options: dict[str, Any], draws: int) -> dict:
    """Rewards, right answers and tokens of each of several draws, (problems, draws)."""
    requests = [Request.of(p.prompt, **options) for p in asked]
    replies = large.batch([r.drawn(i) for r in requests for i in range(draws)])
    ended = [r.finish == "stop" for r in replies]
    scores = pair.scores([r for r in requests for _ in range(draws)], [r.text for r in replies], ended)
    right = [r.text == asked[i // draws].answer for i, r in enumerate(replies)]
    shape = (len(asked), draws)
    tokens = [r.usage.output_tokens for r in replies]
    return {k: np.reshape(np.array(v, float), shape) for k, v in
            (("reward", scores), ("right", right), ("tokens", tokens))}  # fmt: skip


def best_of(draws: dict, n: int) -> dict:
    """The best of the first n draws by reward."""
    at = draws["reward"][:, :n].argmax(1)
    rows = np.arange(len(at))
    return {
        "reward": draws["reward"][rows, at],
        "right": draws["right"][rows, at],
        "tokens": draws["tokens"][:, :n].sum(1),
    }


def matched(draws: dict, tokens: float) -> int:
    """The least n whose draws hold as many tokens on average; all where even they hold fewer."""
    most = draws["tokens"].shape[1]
    return next((n for n in range(1, most + 1) if draws["tokens"][:, :n].sum(1).mean() >= tokens), most)


def interval(values: np.ndarray, seed: int = 0) -> str:
    """Mean with its 95 % bootstrap interval over prompts."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    return f"{values.mean():.3f} [{np.quantile(means, 0.025):.3f}, {np.quantile(means, 0.975):.3f}]"


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", choices=SCENES, default="long")
    name = parser.parse_args().scene
    scene, began = SCENES[name], time.monotonic()
    large, tuned, untuned = (sprat.tiny(one) for one in (scene.large, scene.tuned, scene.untuned))
    pair, heat = log_ratio(tuned, untuned), scene.temperature
    options = {"temperature": heat, "top_k": TOP_K, "seed": 11}
    every = asked(scene, DEVELOPMENT + REPORTED)
    first, rest = every[:DEVELOPMENT], every[DEVELOPMENT:]
    tried = drawn(large, pair, first, options, scene.draws)
    gains: dict[tuple[int, int, int], float] = {}
    for setting in scene.settings:
        got = searched(setting, heat, large, pair, first)
        rival = best_of(tried, matched(tried, got["tokens"].mean()))
        gains[setting] = float((got["reward"] - rival["reward"]).mean())
        print(setting, got["tokens"].mean(), interval(got["reward"]), interval(rival["reward"]), flush=True)
    chosen = max(gains, key=lambda s: gains[s])
    draws = drawn(large, pair, rest, options, scene.draws)
    rows, record = list[dict[str, str]](), list[dict[str, Any]]()
    for setting in scene.settings:
        got = searched(setting, heat, large, pair, rest)
        n = matched(draws, got["tokens"].mean())
        rival = best_of(draws, n)
        row = {
            "way": f"search {setting}{' (chosen)' if setting == chosen else ''}",
            "tokens": f"{got['tokens'].mean():.1f}",
            "reward": interval(got["reward"]),
            "right": interval(got["right"]),
            "best-of-n": f"n = {n}, {rival['tokens'].mean():.1f} tokens",
            "its reward": interval(rival["reward"]),
            "its right": interval(rival["right"]),
            "reward gained": interval(got["reward"] - rival["reward"]),
            "right gained": interval(got["right"] - rival["right"]),
        }
        rows.append(row)
        record.append(row | {"cpu_seconds": got["seconds"], "gain_on_development": gains[setting]})
        print(row, flush=True)
    greedy = {k: v[:, 0] for k, v in drawn(large, pair, rest, {}, 1).items()}
    one = {k: v[:, 0] for k, v in draws.items()}
    guide = {k: v[:, 0] for k, v in drawn(tuned, pair, rest, {}, 1).items()}
    for way, got in ((f"{scene.large}, greedy", greedy), ("one sample", one), (f"{scene.tuned} alone, greedy", guide)):
        rows.append({"way": way, "tokens": f"{got['tokens'].mean():.1f}", "reward": interval(got["reward"]),
                     "right": interval(got["right"])})  # fmt: skip
    about = header(f"python benchmarks/search.py --scene {name}", 5, time.monotonic() - began)
    task = "numbers to be marked odd or even" if scene.marked else "sorting four or five numbers"
    text = [
        f"# Weak-to-strong search on the aquarium: {name}",
        f"{scene.large} at temperature {heat:g}, top-k {TOP_K}, by log {scene.tuned} - log {scene.untuned}; {task}.",
        f"{len(rest)} prompts; the setting (beams, samples, chunk) was chosen on {len(first)} others. Best-of-n: least",
        "n that writes at least as many tokens on average. 95 % bootstrap intervals over prompts; gains are paired.",
        "Tokens are those that the large model generated.",
        "",
        *table(rows),
    ]
    write(f"search_{name}", {"about": about, "settings": record, "rows": rows}, text)
    print("\n".join(text))


if __name__ == "__main__":
    main()
