"""Reads short training texts from the public sets under SPRAT_DATA; benchmark sets are not in the list.

Left out on purpose: routing_mmlu, mmlu_pro_outcomes, routing_gsm8k, routing_mtbench, gsm8k*, bbh_recorded (they are
measured on), research_only, toxicity and pii (not for shipped artefacts).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Rows = Iterable[dict[str, Any]]
WORDS = 85  # about 112 wordpieces, the teacher's cut


def _text(path: Path) -> str:
    return gzip.open(path, "rt", encoding="utf-8", errors="replace").read()


def _rows(path: Path) -> list[dict[str, Any]]:
    text = _text(path)
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Cuts a long text into runs of one to four sentences."""
    sentences = re.split(r"(?<=[.!?])\s+|\n\s*\n", text.replace(" @-@ ", "-").replace("<unk>", ""))
    at = 0
    while at < len(sentences):
        n = rng.choice((1, 1, 1, 2, 2, 3, 4))
        words = " ".join(sentences[at : at + n]).split()
        at += n
        if len(words) >= 4:
            yield " ".join(words[:WORDS])


def _long(rows: Rows, field: str, rng: random.Random) -> list[str]:
    return [p for row in rows for p in pieces(str(row[field]), rng)]


def choices(stem: str, options: list[str]) -> str:
    """A multiple-choice prompt of the common exam layout."""
    return stem + "".join(f"\n{letter}. {o}" for letter, o in zip("ABCDE", options, strict=False)) + "\nAnswer:"


def _sources(root: Path, rng: random.Random) -> dict[str, tuple[int, list[str]]]:
    """name -> (how many to keep, texts)."""
    out: dict[str, tuple[int, list[str]]] = {}

    def field(name: str, keep: int, path: str, *fields: str) -> None:
        rows = _rows(root / path)
        out[name] = (keep, [str(r[f]) for r in rows for f in fields if r.get(f)])

    def long(name: str, keep: int, path: str, name_of_field: str = "text") -> None:
        out[name] = (keep, _long(_rows(root / path), name_of_field, rng))

    field("banking77", 1500, "banking77/train.jsonl.gz", "text")
    field("clinc150", 3000, "clinc150/train.jsonl.gz", "text")
    field("goemotions", 2500, "goemotions/train.jsonl.gz", "text")
    field("snli", 1500, "nli/snli_dev.jsonl.gz", "premise", "hypothesis")
    field("mnli", 3500, "nli/mnli_dev.jsonl.gz", "premise", "hypothesis")
    field("qnli", 5000, "nli/qnli_dev.jsonl.gz", "premise", "hypothesis")
    field("xquad_en", 1190, "xquad/en.jsonl.gz", "question")
    long("xquad_context", 900, "xquad/en.jsonl.gz", "context")
    for language in ("de", "es", "zh", "ar"):
        field(f"xquad_{language}", 250, f"xquad/{language}.jsonl.gz", "question")
    field("pubmedqa", 1000, "pubmedqa/pqal.jsonl.gz", "question")
    contexts = [{"t": c} for r in _rows(root / "pubmedqa/pqal.jsonl.gz") for c in r["contexts"]]
    out["pubmedqa_context"] = (3500, _long(contexts, "t", rng))
    field("dolly_instruction", 3000, "dolly_3k/dolly_3k.jsonl.gz", "instruction")
    long("dolly_output", 4000, "dolly_3k/dolly_3k.jsonl.gz", "output")
    field("self_instruct", 400, "self_instruct/seed_tasks.jsonl.gz", "instruction")
    field("self_instruct_user", 250, "self_instruct/user_oriented_8models.jsonl.gz", "instruction")
    field("halueval", 4000, "halueval_general/general.jsonl.gz", "query")
    field("svamp", 600, "svamp/svamp.jsonl.gz", "body", "question")
    field("truthfulqa", 1600, "truthfulqa/truthfulqa.jsonl.gz", "question", "best_answer")
    field("triviaqa", 500, "sampled_answers/triviaqa_samples.jsonl.gz", "question")
    field("wikitables", 2500, "wikitables/train.jsonl.gz", "question")
    tables = [
        " | ".join(map(str, t["header"])) + "\n" + "\n".join(" | ".join(map(str, r)) for r in t["rows"][:3])
        for t in _rows(root / "wikitables/tables.jsonl.gz")
    ]
    out["tables"] = (900, tables)
    field("conala", 2500, "code_tasks/conala_train.jsonl.gz", "intent", "snippet")
    field("tldr", 2500, "code_tasks/tldr_pages.jsonl.gz", "description")
    field("humaneval", 164, "code_tasks/humaneval.jsonl.gz", "prompt")
    long("gutenberg", 3000, "text_domains/gutenberg.jsonl.gz")
    long("licences", 2500, "text_domains/legal_licences.jsonl.gz")
    long("peps", 3000, "text_domains/tech_peps.jsonl.gz")
    long("speeches", 3500, "text_domains/speeches_us_presidents.jsonl.gz")
    long("wikitext_a", 5000, "text_domains/wikitext2_valid.jsonl.gz")
    long("wikitext_b", 5000, "text_domains/wikitext2_test.jsonl.gz")
    long("python", 2000, "text_domains/code_python.jsonl.gz")
    long("ewt", 2500, "text_domains/web_noisy_ewt.jsonl.gz")
    long("stories", 700, "text_domains/tinystories.jsonl.gz")
    long("onestop", 3000, "onestop/texts.jsonl.gz")
    pages = list(json.loads(_text(root / "web_pages/ground-truth.json.gz")).values())
    out["web_pages"] = (2500, _long(pages, "articleBody", rng))
    for part, keep in (("news", 1500), ("ectsum", 600), ("scitldr", 1500), ("podcast", 700), ("qmsumm", 400)):
        long(f"summedits_{part}", keep, f"summedits/summedits_{part}.json.gz", "doc")
    for part, keep in (("RTE", 2000), ("MRPC", 2000), ("QNLI", 3000)):
        field(f"supergen_{part}", keep, f"supergen/{part}.train.json.gz", "text1", "text2")
    field("movies", 800, "movie_sentences/subjectivity_train.jsonl.gz", "text")
    field("sms", 700, "sms_spam/sms.jsonl.gz", "text")
    for part in ("person", "music", "new_organization"):
        names = _text(root / f"reconfidencing/{part}_backlink.txt.gz").splitlines()
        out[f"names_{part}"] = (1200, [n.split("\t")[0] for n in names])
    cranfield = re.split(r"\n?\.I \d+\n", _text(root / "cranfield/cran.all.1400.gz"))
    bodies = [{"t": part.split("\n.W\n")[-1].replace("\n", " ")} for part in cranfield]
    out["cranfield"] = (2500, _long(bodies, "t", rng))
    obqa = [r for p in ("train", "valid") for r in _rows(root / f"llm_rationales/obqa.obqa_{p}.json.gz")]
    riddle = _rows(root / "llm_rationales/riddle.riddle_train.json.gz")
    bioasq = _rows(root / "llm_rationales/bioasq.bioasq_train.json.gz")
    out["obqa_choices"] = (3500, [choices(r["question"], list(r["choices"])) for r in obqa])
    out["obqa"] = (1500, [r["question"] for r in obqa])
    out["riddle_choices"] = (1800, [choices(r["question"], list(r["choices"])) for r in riddle])
    out["bioasq"] = (3000, _long(bioasq, "question", rng))
    return out


def _exam_like(sources: dict[str, tuple[int, list[str]]], keep: int, rng: random.Random) -> list[str]:
    """Sentences of one source put together as a stem with four short options."""
    expository = [
        "pubmedqa_context",
        "bioasq",
        "wikitext_a",
        "wikitext_b",
        "speeches",
        "licences",
        "dolly_output",
        "cranfield",
        "xquad_context",
        "qnli",
        "onestop",
        "peps",
        "summedits_scitldr",
        "mnli",
        "truthfulqa",
    ]
    out: list[str] = []
    for _ in range(keep):
        texts = sources[rng.choice(expository)][1]
        at = rng.randrange(max(1, len(texts) - 5))
        stem = " ".join(texts[at].split()[: rng.choice((12, 25, 45))])
        size = rng.choice((1, 2, 4, 8))
        options = [" ".join(t.split()[: rng.randint(1, size)]) for t in (texts[at + 1 : at + 5] or texts[:4])]
        out.append(choices(stem, options))
    return out


def read_corpus(root: Path, seed: int, scale: float = 1.0) -> list[str]:
    """Returns distinct training texts in a seeded order; every set named above must be there."""
    rng = random.Random(seed)
    sources = _sources(root, rng)
    texts = _exam_like(sources, int(7000 * scale), rng)
    for name in sorted(sources):
        keep, found = sources[name]
        unique = list(dict.fromkeys(" ".join(t.split(" ")[: 2 * WORDS]).strip() for t in found))
        rng.shuffle(unique)
        texts += [t for t in unique if 3 <= len(t) <= 2000][: int(keep * scale)]
    texts = list(dict.fromkeys(texts))
    texts.sort(key=lambda t: hashlib.sha256(f"{seed}:{t}".encode()).digest())
    return texts
