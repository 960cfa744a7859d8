"""The ONNX endpoint: its text is that of the transformers endpoint, and it takes only exports that were compared."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sprat.core import Can
from sprat.endpoints.onnx import Onnx, onnx
from sprat.endpoints.transformers import Transformers
from sprat.errors import BadInput, MissingExtra
from sprat.whitebox.onnx_export import NEEDED, export

pytestmark = [pytest.mark.slow, pytest.mark.data]
ASKED = ["3+4=", "12+30=", "9*8="]


@pytest.fixture(scope="module")
def source() -> Path:
    if not os.environ.get("SPRAT_DATA"):
        pytest.skip("needs SPRAT_DATA")
    if absent := [m for m in NEEDED if importlib.util.find_spec(m) is None]:
        pytest.skip(f"an export needs {', '.join(absent)}")
    return Path(os.environ["SPRAT_DATA"]) / "models" / "aquarium" / "mackerel"


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(source, tmp_path_factory.mktemp("onnx") / "mackerel")


def texts(model: Any, **options: Any) -> list[Any]:
    return [reply.text for reply in model.batch(ASKED, max_tokens=30, **options)]


def test_the_greedy_text_is_that_of_torch(source: Path, folder: Path) -> None:
    assert texts(onnx(folder, threads=1)) == texts(Transformers("mackerel", str(source), dtype="float32"))


def test_a_row_alone_is_written_as_in_a_batch(folder: Path) -> None:
    model = onnx(folder, threads=1)
    assert [model(asked, max_tokens=30).text for asked in ASKED] == texts(model)


def test_it_is_a_decoder_and_may_be_added(source: Path, folder: Path) -> None:
    model = onnx(folder, threads=1)
    assert model.can is Can.LOGITS
    assert texts(model + 0.5 * (Transformers("m", str(source), dtype="float32") - model)) == texts(model)


def test_its_ends_are_those_of_the_configs(folder: Path) -> None:
    assert onnx(folder, threads=1).vocabulary.ends == {2}


def test_an_export_without_its_record_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "parity.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BadInput, match=r"was not compared with its weights.*sprat\.whitebox\.export_onnx"):
        onnx(tmp_path)


def test_a_record_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    record = json.loads((folder / "parity.json").read_text())
    (tmp_path / "parity.json").write_text(json.dumps({**record, "model_sha256": "0" * 64}))
    with pytest.raises(BadInput, match="is not the one that"):
        onnx(tmp_path)


def test_without_onnxruntime_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"sprat\[onnx\]"):
        onnx(folder, threads=7)


def test_a_thread_count_below_one_is_refused() -> None:
    with pytest.raises(BadInput, match="threads 0"):
        Onnx("m", threads=0)
