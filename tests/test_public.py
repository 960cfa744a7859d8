"""Public sets: fetched from a loopback server in their sources' own formats, checked, cached; as SPRAT_DATA has."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from sprat.core import Usage
from sprat.errors import BadInput, Garbled, Unreachable
from sprat.public import NAMES, load
from sprat.public.fetch import Source, blob_id, fetch, source
from sprat.public.mmlu_pro import mmlu_pro
from sprat.public.routellm import gsm8k, mmlu, mtbench

HEADER = ["prompt", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"]


class Repository:
    """A loopback stand-in for the raw files of a repository, counting what is asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.status = 200
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append(unquote(self.path))
                content = owner.files.get(unquote(self.path).removeprefix("/o/r/c0ffee/"))
                self.send_response(owner.status if content is not None else 404)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def source(self, rows: int, **files: bytes | str) -> Source:
        self.files = {k.replace("__", "/"): v.encode() if isinstance(v, str) else v for k, v in files.items()}
        return Source("o/r", "c0ffee", "MIT", rows, {k: blob_id(v) for k, v in self.files.items()})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.delenv("SPRAT_DATA", raising=False)
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path))
    made = Repository()
    yield made
    made.server.shutdown()
    made.server.server_close()


def table(header: list[str], *rows: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def packed(*rows: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("outputs.json", json.dumps(rows))
    return file.getvalue()


def asked(number: int, pred: str | None, text: str, answer: str = "B", field: str = "generated_text") -> dict[str, Any]:
    return {"question_id": number, "question": "2+2?", "options": ["3", "4"], "answer": answer, "category": "math",
            "pred": pred, field: text}  # fmt: skip


def test_mmlu_is_made_of_its_subjects_tables(repository: Repository) -> None:
    files = {
        "responses/mmlu_anatomy.csv": table(HEADER, ["Which,\nbone?", True, False], ["q2", "False", "True"]),
        "responses/mmlu_virology.csv": table(HEADER, ["q2", True, True]),
    }
    data = mmlu(repository.source(3, **files), repository.base)
    first = data.examples[0]
    assert (first.id, first.request.text, first.request.group) == ("anatomy-0", "Which,\nbone?", "anatomy")
    assert data.scores(data.models).tolist() == [[1, 0], [0, 1], [1, 1]]
    assert data.units.tolist() == [0, 1, 1]


def test_gsm8k_holds_whole_replies(repository: Repository) -> None:
    header = [*HEADER, *(f"{m}_response" for m in HEADER[1:])]
    found = repository.source(1, **{"gsm8k_responses.csv": table(header, ["q", True, False, "a\n#### 1", "b"])})
    data = gsm8k(found, repository.base)
    assert [r.text for m in data.models for r in data.replies(m) if r] == ["a\n#### 1", "b"]


def test_mtbench_joins_questions_and_judgements(repository: Repository) -> None:
    question = {"question_id": 81, "category": "writing", "turns": ["one", "two"]}
    judged = [{"question_id": 81, "turn": t, "model": m, "score": s}
              for t, m, s in ((2, HEADER[2], 10), (1, HEADER[1], 8.5), (2, HEADER[1], 1))]  # fmt: skip
    lines = "\n".join(json.dumps(j) for j in judged)
    found = repository.source(2, **{"a/question.jsonl": json.dumps(question), "a/judgements.jsonl": lines})
    data = mtbench(found, repository.base)
    assert [(e.id, e.request.text, e.unit) for e in data] == [("81-1", "one", "81"), ("81-2", "two", "81")]
    np.testing.assert_allclose(data.scores(data.models), [[7.5 / 9, np.nan], [0, 1]])


def zips(repository: Repository, rows: int, **models: bytes) -> Source:
    return repository.source(rows, **{f"eval_results/model_outputs_{m}_5shots.zip": z for m, z in models.items()})


def test_mmlu_pro_counts_a_missing_answer_as_wrong(repository: Repository) -> None:
    llama = packed(asked(70, None, "x" * 8), asked(71, "B", "The answer is (B)."), asked(83, "B", "left out"))
    gemini = packed(asked(70, "B", "B", answer="A", field="model_outputs"), asked(71, "A", "", field="model_outputs"))
    found = zips(repository, 2, **{"Llama-2-7b-hf": llama, "gemini": gemini})
    data = mmlu_pro(found, None, repository.base)
    assert data.scores(["Llama-2-7b-hf", "gemini"]).tolist() == [[0, 1], [1, 0]]
    assert data.examples[0].request.text == "2+2?\nA. 3\nB. 4"
    assert data.examples[0].calls[0].reply.usage == Usage(4, 2)
    assert "A missing answer counts as wrong (1 of 4)" in data.notes[2]


def test_mmlu_pro_grades_by_one_files_answers_whoever_is_asked_for(repository: Repository) -> None:
    later = packed(asked(70, "B", "B", answer="A"))
    found = zips(repository, 1, **{"Llama-2-7b-hf": packed(asked(70, "A", "A")), "gemini": later})
    assert mmlu_pro(found, ["gemini"], repository.base).scores(["gemini"]).tolist() == [[1]]


def test_an_unknown_model_of_mmlu_pro_is_refused(repository: Repository) -> None:
    with pytest.raises(BadInput, match="Did you mean 'gemma-7b'"):
        mmlu_pro(zips(repository, 1, **{"gemma-7b": b""}), ["gema-7b"], repository.base)


def test_a_file_is_fetched_once_and_then_cached(repository: Repository) -> None:
    found = repository.source(1, a__b="text")
    paths = {fetch(found, "a/b", repository.base) for _ in range(2)}
    assert repository.asked == ["/o/r/c0ffee/a/b"]
    assert [p.read_text() for p in paths] == ["text"]


def test_a_spoilt_cache_is_fetched_again(repository: Repository) -> None:
    found = repository.source(1, a="text")
    fetch(found, "a", repository.base).write_text("spoilt")
    assert fetch(found, "a", repository.base).read_text() == "text"


def test_a_file_that_is_not_the_commits_is_refused_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    found = repository.source(1, a="text")
    repository.files["a"] = b"<html>sign in</html>"
    with pytest.raises(Garbled, match="20 bytes that are not the file of commit c0ffee"):
        fetch(found, "a", repository.base)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_wrong_number_of_rows_is_refused(repository: Repository) -> None:
    with pytest.raises(Garbled, match="has 1 rows, not 2"):
        mmlu(repository.source(2, **{"x/mmlu_a.csv": table(HEADER, ["q", True, True])}), repository.base)


def test_a_zip_that_is_none_is_refused(repository: Repository) -> None:
    with pytest.raises(Garbled, match="no zip of one JSON file"):
        mmlu_pro(zips(repository, 1, **{"Llama-2-7b-hf": b"PK nothing"}), None, repository.base)


def test_no_network_is_said_with_what_to_do(repository: Repository) -> None:
    found = repository.source(1, a="text")
    with pytest.raises(Unreachable, match=r"can't be reached.*or set SPRAT_DATA"):
        fetch(found, "a", "http://127.0.0.1:9")


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3)])
def test_a_refusal_is_said_and_a_servers_failure_tried_again(repository: Repository, status: int, tries: int) -> None:
    found = repository.source(1, a="text")
    repository.status = status
    with pytest.raises(Unreachable, match=f"answered {status}"):
        fetch(found, "a", repository.base)
    assert len(repository.asked) == tries


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean 'mmlu-pro'"):
        load("mmlu_pro")


def test_every_set_names_its_commit_licence_and_files() -> None:
    for name in NAMES:
        found = source(name)
        assert len(found.commit) == 40
        assert found.licence
        assert all(len(i) == 40 for i in found.files.values())


def test_a_blob_id_is_gits() -> None:
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


FACTS = {
    "routellm-mmlu": (14042, {"mixtral-8x7b-instruct-v0.1": 0.681, "gpt-4-1106-preview": 0.806}),
    "routellm-gsm8k": (1319, {"mixtral-8x7b-instruct-v0.1": 0.638, "gpt-4-1106-preview": 0.857}),
    "routellm-mtbench": (160, {"mixtral-8x7b-instruct-v0.1": 7.341 / 9, "gpt-4-1106-preview": 8.228 / 9}),
    "mmlu-pro": (12002, {"Llama-2-7b-hf": 0.184, "Meta-Llama-3_1-8B-Instruct": 0.442, "gemini-1.5-pro-002": 0.701}),
}


@pytest.mark.data
@pytest.mark.skipif("SPRAT_DATA" not in os.environ, reason="needs SPRAT_DATA")
@pytest.mark.parametrize("name", NAMES)
def test_the_sets_have_their_known_sizes_and_accuracies(name: str) -> None:
    rows, means = FACTS[name]
    data = load(name, list(means))
    assert len(data) == rows
    np.testing.assert_allclose(data.scores(list(means)).mean(axis=0), list(means.values()), atol=6e-4)
