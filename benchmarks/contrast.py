"""Contrastive decoding against greedy: repetition and errors on story beginnings, accuracy on the aquarium's problems;
and induce-then-contrast with a copy that was trained on wrong answers.

    python benchmarks/contrast.py problems [--problems 1500]
    python benchmarks/contrast.py induced [--problems 1500] [--steps 120]
    python benchmarks/contrast.py stories --data DATA [--stories 120] [--minutes 0.75]

DATA is the project's data folder (models/stories260K, text_domains). The stories' amateurs: the expert itself seeing
only the last token of the beginning (arXiv 2210.15097 restricts the amateur's context), and a Llama of one layer x 32
trained for CPU minutes on other stories. rep-n is the share of a continuation's word n-grams that came before in it;
distinct-2 the share of different ones among all continuations'. A word counts as none where no text at hand has it. The
expert was trained on stories like these, maybe on these. The induced sprat is fine-tuned briefly on wrong answers:
those of other problems of the same task and difficulty. Greedy throughout but where "sampled" is said.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "aquarium"))

import measured
import numpy as np
import torch
import transformers
from rates import difference, mean, rate, right

import sprat
import sprat.aquarium
from sprat.aquarium.problems import TASKS, Problem, draw_problem, problems
from sprat.decoding import contrast, induce_contrast, told
from sprat.endpoints.local import local
from sprat.errors import SpratError

SEED, WORDS, TOKENS, LENGTH = 11, 10, 160, 128
TITLES = {
    "problems": "# Contrastive decoding on the aquarium's problems",
    "induced": "# Induce-then-contrast on the aquarium's problems",
    "stories": "# Contrastive decoding on story beginnings",
}
TEXTS = ("tinystories", "tinystories_lowercase_rest", "gutenberg", "web_noisy_ewt", "speeches_us_presidents")


def stories(data: Path, n: int) -> tuple[list[str], list[str]]:
    """Beginnings of n stories, and the other stories."""
    texts = read(data, "tinystories")
    order = np.random.default_rng(SEED).permutation(len(texts))
    chosen = [texts[i] for i in order[:n]]
    return [" ".join(text.split()[:WORDS]) for text in chosen], [texts[i] for i in order[n:]]


def read(data: Path, name: str) -> list[str]:
    """The texts of one domain."""
    with gzip.open(data / "text_domains" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def train_amateur(expert: Any, texts: list[str], minutes: float, folder: Path) -> int:
    """A Llama of one layer x 32 with the expert's tokenizer, trained on the texts; the steps that fitted in."""
    torch.manual_seed(SEED)
    ids = [i for text in texts for i in expert.vocabulary.prompt([{"role": "user", "content": text}])]
    blocks = torch.tensor(ids[: len(ids) // LENGTH * LENGTH]).view(-1, LENGTH)
    config = transformers.LlamaConfig(
        vocab_size=len(expert.vocabulary.tokens), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=88, max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    began, steps = time.process_time(), 0
    while time.process_time() - began < 60 * minutes:
        rows = blocks[torch.randint(len(blocks), (16,))]
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    model.save_pretrained(folder)
    expert.vocabulary.tokenizer.save_pretrained(folder)
    print(f"amateur: {steps} steps, loss {loss.item():.2f}", flush=True)
    return steps


def words_of(text: str) -> list[str]:
    """The words of a text, as written."""
    return re.findall(r"[A-Za-z]+(?:'[a-z]+)?", text)


def repeated(text: str, n: int) -> float:
    """rep-n of one text's words; 0 where it has fewer than n."""
    words = [word.lower() for word in words_of(text)]
    grams = list(zip(*(words[i:] for i in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(texts: list[str]) -> float:
    """The share of different word pairs among all texts'."""
    pairs = [pair for text in texts for pair in pairwise([word.lower() for word in words_of(text)])]
    return len(set(pairs)) / len(pairs)


def of_stories(data: Path, n: int, minutes: float) -> tuple[list[str], dict[str, Any]]:
    """Repetition, errors and likelihood of continuations."""
    expert = local(str(data / "models" / "stories260K"))
    beginnings, others = stories(data, n)
    known = {word.lower() for name in TEXTS for text in read(data, name) for word in words_of(text)}
    folder = Path(tempfile.mkdtemp()) / "amateur"
    steps = train_amateur(expert, others, minutes, folder)
    amateur, near = local(str(folder)), told(expert, last=1)
    greedy = {
        "greedy": expert,
        "context amateur, logits, beta .5": contrast(expert, near),
        "context amateur, log ratio": contrast(expert, near, form="log_ratio"),
        "trained amateur, logits, beta .5": contrast(expert, amateur),
        "trained amateur, logits, beta 1": contrast(expert, amateur, beta=1),
        "trained amateur, log ratio": contrast(expert, amateur, form="log_ratio"),
        "trained amateur, log ratio, its temperature .5": contrast(
            expert, amateur, form="log_ratio", amateur_temperature=0.5
        ),
    }
    ways = {name: (model, {}) for name, model in greedy.items()}
    ways |= {
        "expert sampled, top-p .95": (expert, {"temperature": 1.0, "top_p": 0.95}),
        "trained amateur, logits, beta .5, sampled": (contrast(expert, amateur), {"temperature": 1.0}),
    }
    told_of = {name: continued(model, beginnings, known, options) for name, (model, options) in ways.items()}
    base = told_of["greedy"]
    rows = [
        {"way": name}
        | {what: mean(found[what]) for what in ("rep-2", "rep-4", "non-words")}
        | {"distinct-2": f"{found['distinct-2']:.3f}", "expert's log-prob": mean(found["log-prob"], 2)}
        | {"rep-4 less greedy's": difference(found["rep-4"], base["rep-4"]) if found is not base else ""}
        | {"non-words less greedy's": difference(found["non-words"], base["non-words"]) if found is not base else ""}
        for name, found in told_of.items()
    ]
    about = (
        f"Stories: {n} beginnings of {WORDS} words, {TOKENS} tokens each, means with 95 % intervals; "
        f"the trained amateur took {steps} steps."
    )
    kept = {name: {k: np.mean(v).item() for k, v in found.items() if k != "text"} for name, found in told_of.items()}
    shown = ("greedy", "context amateur, logits, beta .5", "trained amateur, log ratio", "expert sampled, top-p .95")
    samples = [f"- {name}: {told_of[name]['text'][1]!r}" for name in shown]
    return [about, "", *measured.table(rows), "One beginning continued:", "", *samples, ""], kept


def continued(model: Any, beginnings: list[str], known: set[str], options: dict[str, Any]) -> dict[str, Any]:
    """What is measured of one way's continuations."""
    began = time.process_time()
    replies = model.batch(beginnings, max_tokens=TOKENS, ignore_eos=False, **options)
    if any(reply.error for reply in replies):
        raise SpratError(next(reply.error for reply in replies if reply.error))
    texts = [reply.text for reply in replies]
    found: dict[str, Any] = {f"rep-{k}": np.array([repeated(text, k) for text in texts]) for k in (2, 3, 4)}
    found["non-words"] = np.array([
        float(np.mean([w.lower() not in known for w in words_of(text)[:-1]] or [0.0])) for text in texts
    ])  # fmt: skip
    found["distinct-2"] = distinct(texts)
    expert = model.base
    scored = [expert_score(expert, begun, reply) for begun, reply in zip(beginnings, replies, strict=True)]
    found["log-prob"] = np.array(scored)
    found["text"] = texts
    print(f"{model!r:.60}: {time.process_time() - began:.0f} CPU-s, rep-4 {found['rep-4'].mean():.3f}", flush=True)
    return found


def expert_score(expert: Any, begun: str, reply: Any) -> float:
    """The mean log-probability of a continuation's tokens under the expert at temperature 1."""
    ids = [*expert.prompt(sprat.Request.of(begun)), *reply.decoded.ids]
    session = expert.open(1)
    logits = session.feed(np.array([ids[:-1]]), keep=len(reply.decoded.ids))
    session.close()
    logs = torch.as_tensor(logits)[0].float().log_softmax(-1)
    return float(logs[torch.arange(len(logs)), torch.tensor(reply.decoded.ids)].mean())


def of_problems(n: int) -> tuple[list[str], dict[str, Any]]:
    """Accuracy with the aquarium's weaker models as amateurs."""
    drawn = problems(n, SEED)
    rows: list[dict[str, str]] = []
    kept: dict[str, Any] = {}
    for expert, amateurs in (("mackerel", ("sprat", "fry", "minnow")), ("sprat", ("fry", "minnow"))):
        big = sprat.tiny(expert)
        alone = right(big, drawn)
        rows.append({"way": f"{expert}, greedy", "right": rate(alone), "less greedy's": ""})
        for name in amateurs:
            small = sprat.tiny(name)
            for how, model in (
                ("logits, beta .5", contrast(big, small)),
                ("log ratio", contrast(big, small, form="log_ratio")),
            ):
                found = right(model, drawn)
                rows.append(
                    {"way": f"{expert} less {name}, {how}", "right": rate(found),
                     "less greedy's": difference(found, alone)}
                )  # fmt: skip
                kept[rows[-1]["way"]] = [float(found.mean()), float(alone.mean())]
                print(rows[-1], flush=True)
    return [f"Problems: the same {n} fresh ones for each, greedy, 95 % intervals.", "", *measured.table(rows)], kept


def wrong(rng: Any, mix: dict[str, float]) -> Problem:
    """A problem with the answer of another of its task and difficulty."""
    one = draw_problem(rng, mix)
    while True:
        _, answer = TASKS[one.task].draw(rng, one.difficulty)
        if answer != one.answer:
            return replace(one, answer=answer)


def of_induced(n: int, steps: int) -> tuple[list[str], dict[str, Any]]:
    """Accuracy of sprat and mackerel less an induced sprat."""
    from train import SIZES, train

    weights = Path(sprat.aquarium.__file__).with_name("weights") / "sprat.safetensors"
    folder = Path(tempfile.mkdtemp())
    train(SIZES["sprat"], folder / "induced.safetensors", steps, {}, seed=SEED, start=weights, peak=5e-4, draw=wrong)
    drawn, induced = problems(n, SEED + 1), sprat.tiny(str(folder / "induced.safetensors"))
    rows = [{"way": "the induced sprat alone", "right": rate(right(induced, drawn)), "less greedy's": ""}]
    kept: dict[str, Any] = {}
    for name in ("sprat", "mackerel"):
        model = sprat.tiny(name)
        alone = right(model, drawn)
        rows.append({"way": f"{name}, greedy", "right": rate(alone), "less greedy's": ""})
        for how, made in (
            ("log ratio, alpha .1", induce_contrast(model, induced)),
            ("log ratio, alpha .1, beta 2", induce_contrast(model, induced, beta=2)),
            ("relu", induce_contrast(model, induced, form="relu")),
        ):
            found = right(made, drawn)
            rows.append(
                {"way": f"{name}, {how}", "right": rate(found), "less greedy's": difference(found, alone)}
            )  # fmt: skip
            kept[rows[-1]["way"]] = [float(found.mean()), float(alone.mean())]
            print(rows[-1], flush=True)
    about = (
        f"Induce-then-contrast: sprat fine-tuned for {steps} steps on wrong answers; {n} other fresh problems, greedy."
    )
    return [about, "", *measured.table(rows)], kept


def main() -> None:
    """Read the command line, measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("problems", "induced", "stories"))
    parser.add_argument("--data", type=Path, help="the project's data folder, for the stories")
    parser.add_argument("--stories", type=int, default=120)
    parser.add_argument("--problems", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=0.75, help="CPU minutes for the stories' amateur")
    parser.add_argument("--steps", type=int, default=120, help="steps of the induced sprat")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    if given.what == "stories":
        if given.data is None:
            parser.error("stories needs --data")
        text, record = of_stories(given.data, given.stories, given.minutes)
    elif given.what == "induced":
        text, record = of_induced(given.problems, given.steps)
    else:
        text, record = of_problems(given.problems)
    command = f"python benchmarks/contrast.py {given.what}" + " --data DATA" * (given.what == "stories")
    record["about"] = measured.header(command, SEED, time.perf_counter() - began)
    measured.write(f"contrast_{given.what}", record, [TITLES[given.what], *text])


if __name__ == "__main__":
    main()
