"""Does a mixture of a general model and a small one tuned to a domain beat both on that domain? All gates, one table.

Usage: SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/comblm.py --models FOLDER

The large model is stories260K (260 k parameters, trained on TinyStories) as it is; the small ones (108 k) are trained
here from nothing on one domain each: stories in lower case, and presidents' speeches. All share stories260K's 512
tokens. A domain's documents are split in three: trained on, fitted on, measured on. Needs the extra 'torch'. Models
already in FOLDER are not trained again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.decoding.comblm import fit, mix
from sprat.decoding.comblm_gates import KINDS
from sprat.endpoints.transformers import Transformers
from sprat.whitebox.scoring import text_logprobs

DATA = Path(os.environ["SPRAT_DATA"])
STORIES = DATA / "models" / "stories260K"
DOMAINS = ("tinystories_lowercase_rest", "speeches_us_presidents")
WINDOW, LONGEST = 256, 3000  # tokens a row; characters of a document that is fitted or measured on
SHARE = 40_000  # characters to fit on, and as many to measure on


def splits(name: str) -> tuple[list[str], list[str], list[str]]:
    """What the small model is trained on, what gates are fitted on, what is measured on; by document."""
    with gzip.open(DATA / "text_domains" / f"{name}.jsonl.gz", "rt") as lines:
        found = [json.loads(line)["text"] for line in lines]
    found = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
    few: list[list[str]] = []
    for _ in range(2):
        few.append([])
        while sum(map(len, few[-1])) < SHARE:
            few[-1].append(found.pop()[:LONGEST])
    return found, few[0], few[1]


def train(out: Path, texts: list[str], steps: int, rate: float) -> None:
    """Train a small Llama on windows of the texts and write a checkpoint with stories260K's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    base = LlamaConfig.from_pretrained(STORIES).to_dict()
    kept = {k: base[k] for k in ("vocab_size", "max_position_embeddings", "bos_token_id", "eos_token_id")}
    shape: dict[str, Any] = {"hidden_size": 48, "intermediate_size": 128, "num_hidden_layers": 3}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": True}
    model = LlamaForCausalLM(LlamaConfig(**kept, **shape))
    stream = np.array([i for text in texts for i in (1, *tokenizer.encode(text, add_special_tokens=False))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    rng, began = np.random.default_rng(0), time.monotonic()
    for step in range(steps):
        places = rng.integers(0, len(stream) - WINDOW, 16)
        rows = torch.tensor(np.stack([stream[p : p + WINDOW] for p in places]))
        rows[:, 0] = 1  # every row is read after the begin token, as it will be when it is measured
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 30) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"{out.name} step {step}, loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def perplexity(found: list[np.ndarray]) -> float:
    """Over all tokens."""
    return float(np.exp(-np.concatenate(found).mean()))


def interval(found: list[np.ndarray], other: list[np.ndarray]) -> list[float]:
    """95 % paired bootstrap, by document, of the ratio of the first's perplexity to the other's."""
    sums = np.array([(a.sum() - b.sum(), len(a)) for a, b in zip(found, other, strict=True)])
    drawn = np.random.default_rng(1).integers(0, len(sums), (2000, len(sums)))
    ratios = np.exp(-sums[drawn, 0].sum(1) / sums[drawn, 1].sum(1))
    return [float(q) for q in np.quantile(ratios, (0.025, 0.975))]


def measured(domain: str, models: Path, steps: int) -> dict[str, Any]:
    """Every gate on one domain."""
    trained, fitting, testing = splits(domain)
    if not (models / domain / "config.json").exists():
        train(models / domain, trained, steps, 3e-3)
    large, small = Transformers("stories260K", str(STORIES)), Transformers(domain, str(models / domain))
    parts = {"large alone": text_logprobs(large, testing), "small alone": text_logprobs(small, testing)}
    found: dict[str, Any] = {name: {"perplexity": perplexity(values)} for name, values in parts.items()}
    best = min(parts, key=lambda name: found[name]["perplexity"])
    for kind in ("mean", *KINDS):
        start = time.process_time()
        model = fit(mix(large, small, kind), fitting, kind)
        seconds = time.process_time() - start
        values = text_logprobs(model, testing)
        found[kind] = {
            "perplexity": perplexity(values),
            "of the better part": perplexity(values) / found[best]["perplexity"],
            "interval": interval(values, parts[best]),
            "fit, CPU-seconds": seconds,
        }
        print(domain, kind, found[kind], flush=True)
    found["tokens measured on"] = sum(map(len, parts["large alone"]))
    found["documents"] = [len(trained), len(fitting), len(testing)]
    return found


def main() -> None:
    """Measure what is not measured yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default="", help="measure this domain alone; another run writes")
    given = parser.parse_args()
    began = time.monotonic()
    record: dict[str, Any] = {}
    rows: list[dict[str, str]] = []
    for domain in DOMAINS:
        if given.only not in ("", domain):
            continue
        known = given.models / f"{domain}.json"
        if not known.exists():
            known.write_text(json.dumps(measured(domain, given.models, given.steps)))
        record[domain] = found = json.loads(known.read_text())
        for name in ("large alone", "small alone", "mean", *KINDS):
            one = found[name]
            row = {"domain": domain, "gate": name, "held-out perplexity": f"{one['perplexity']:.2f}"}
            if "interval" in one:
                low, high = one["interval"]
                row["ratio to the better part"] = f"{one['of the better part']:.3f} [{low:.3f}, {high:.3f}]"
                row["fit, CPU-s"] = f"{one['fit, CPU-seconds']:.1f}"
            rows.append({"ratio to the better part": "", "fit, CPU-s": "", **row})
    if given.only:
        return
    columns = ("domain", "gate", "held-out perplexity", "ratio to the better part", "fit, CPU-s")
    whole = {"about": header("python benchmarks/comblm.py --models FOLDER", 0, time.monotonic() - began), **record}
    text = ["# CombLM: stories260K with a small model trained on a domain", ""]
    text += table([{column: row[column] for column in columns} for row in rows])
    text += [
        f"Three parts by document: trained on, fitted on, measured on ({SHARE:,} characters each of the last two, a "
        f"document cut at {LONGEST:,}). Intervals: 95 %, paired bootstrap by document. Bar: the mixture below both "
        "parts, a fit under 10 s (the time here includes that both parts read the documents). stories260K has probably "
        "read the lower-cased stories in their usual spelling; the speeches are new to it. Smaller vocabularies than "
        "usual (512 tokens) make the vector and full gates cheap.",
    ]
    write("comblm", whole, text)


if __name__ == "__main__":
    main()
