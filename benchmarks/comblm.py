"""Does a mixture of a general model and a small one tuned to a domain beat both on that domain? All gates, one table.

Usage: SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/comblm.py --models FOLDER

The general model is stories260K, trained on with stories, novels, code and web text. The small ones (108 k parameters)
are trained from nothing on one domain each, which the general one never saw. All share stories260K's 512 tokens. A
domain's documents are split in three: trained on, fitted on, measured on. Needs the extra 'torch'. Models already in
FOLDER are not trained again.
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
GENERAL = ("tinystories", "gutenberg", "code_python", "web_noisy_ewt")
DOMAINS = ("tech_peps", "speeches_us_presidents")
WINDOW, LONGEST = 256, 3000  # tokens a row; characters of a document that is fitted or measured on
FIT, TEST = 24, 24  # documents


def documents(name: str, longest: int = 60_000) -> list[str]:
    """The documents of a domain, in an order that the seed gives, cut to `longest` characters."""
    with gzip.open(DATA / "text_domains" / f"{name}.jsonl.gz", "rt") as lines:
        found = [json.loads(line)["text"][:longest] for line in lines]
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order]


def splits(name: str) -> tuple[list[str], list[str], list[str]]:
    """What the small model is tuned on, what gates are fitted on, what is measured on; by document."""
    found = documents(name)
    few = [text[:LONGEST] for text in found[: FIT + TEST]]
    return found[FIT + TEST :], few[:FIT], few[FIT:]


def train(out: Path, texts: list[str], steps: int, rate: float, start: Path | None) -> None:
    """Train a Llama on windows of the texts and write a checkpoint with stories260K's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    if start:
        model = LlamaForCausalLM.from_pretrained(start, dtype=torch.float32)
    else:
        shape: dict[str, Any] = {"hidden_size": 48, "intermediate_size": 128, "num_hidden_layers": 3}
        shape |= {"num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": True}
        base = LlamaConfig.from_pretrained(STORIES).to_dict()
        kept = {k: base[k] for k in ("vocab_size", "max_position_embeddings", "bos_token_id", "eos_token_id")}
        model = LlamaForCausalLM(LlamaConfig(**kept, **shape))
    stream = np.array([i for text in texts for i in (1, *tokenizer.encode(text, add_special_tokens=False))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    rng, began = np.random.default_rng(0), time.monotonic()
    for step in range(steps):
        places = rng.integers(0, len(stream) - WINDOW, 24)
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


def main() -> None:
    """Train what is missing, fit every gate, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--general-steps", type=int, default=200)
    parser.add_argument("--small-steps", type=int, default=300)
    given = parser.parse_args()
    began = time.monotonic()
    if not (given.models / "general" / "config.json").exists():
        texts = [t for name in GENERAL for t in documents(name)]
        train(given.models / "general", texts, given.general_steps, 1e-3, STORIES)
    large = Transformers("general", str(given.models / "general"))
    rows: list[dict[str, str]] = []
    record: dict[str, Any] = {"domains": {}}
    for domain in DOMAINS:
        tuned, fitting, testing = splits(domain)
        if not (given.models / domain / "config.json").exists():
            train(given.models / domain, tuned, given.small_steps, 3e-3, None)
        small = Transformers(domain, str(given.models / domain))
        parts = {"general alone": text_logprobs(large, testing), "small alone": text_logprobs(small, testing)}
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
                "fit CPU-seconds, reading included": seconds,
            }
            print(domain, kind, found[kind], flush=True)
        record["domains"][domain] = found
        for name, one in found.items():
            ratio, (low, high) = one.get("of the better part", math.nan), one.get("interval", (math.nan, math.nan))
            said = f"{ratio:.3f} [{low:.3f}, {high:.3f}]" if "interval" in one else ""
            rows.append(
                {
                    "domain": domain,
                    "gate": name,
                    "held-out perplexity": f"{one['perplexity']:.2f}",
                    "ratio to the better part": said,
                    "fit, CPU-s": f"{one['fit CPU-seconds, reading included']:.1f}" if "interval" in one else "",
                }
            )
        publish(record, rows, time.monotonic() - began)


def publish(record: dict[str, Any], rows: list[dict[str, str]], seconds: float) -> None:
    """Write what is known so far: a domain takes minutes."""
    whole = {"about": header("python benchmarks/comblm.py --models FOLDER", 0, seconds), **record}
    text = ["# CombLM: a general model with a small one trained on a domain", "", *table(rows)]
    text += [
        f"Gates are fitted on {FIT} documents and measured on {TEST} others of at most {LONGEST} characters; the small "
        "model was trained on the rest. Intervals: 95 %, paired bootstrap by document. Bar: the mixture below both "
        "parts, a fit under 10 s (its time here includes that both parts read the documents).",
    ]
    write("comblm", whole, text)


if __name__ == "__main__":
    main()
