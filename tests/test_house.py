"""The rules of the house, read off the source: layers, lengths, docstrings, papers, and words that are not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import sprat
from sprat.methods import factories

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "sprat"
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted(p for p in (ROOT / "tests").rglob("*.py") if "fixtures" not in p.parts)

# Imports go only to an earlier line; within the second line they may go both ways.
LAYERS = (
    "canonical errors lazy",
    "core drivers files shape tree",
    "answers aquarium data journal logs sentences sums words",
    "encoders prices replay retrieve splits",
    "energy nli reading registry safety similarity wanted whitebox",
    "config_values endpoints uncertainty",
    "config diagnose public signals",
    "factuality",
    "combine decoding measure",
    "collect curate fitting judging methods quantize synthesize task train",
    "gateway study",
    "cli",
)
WHERE = {room: i for i, line in enumerate(LAYERS) for room in line.split()}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """The rooms of sprat that a file imports."""
    package = path.relative_to(SOURCE).parts[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("sprat."))
        elif isinstance(node, ast.ImportFrom):
            named = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                target = (*package[: len(package) - node.level + 1], *named)
            elif named[:1] == ("sprat",):
                target = named[1:]
            else:
                continue
            yield from (target[0],) if target else (a.name for a in node.names)


def room(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def test_every_room_has_its_layer() -> None:
    assert {room(p) for p in FILES} - {"__init__"} <= WHERE.keys()


def test_imports_go_to_the_left() -> None:
    inside = [(p, room(p), to) for p in FILES if room(p) != "__init__" for to in imported(p)]
    wrong = [
        f"{p.relative_to(ROOT)} imports {to}"
        for p, own, to in inside
        if to != own and to in WHERE and not (WHERE[to] < WHERE[own] or WHERE[to] == WHERE[own] == 1)
    ]
    assert wrong == []


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(p.relative_to(ROOT)): p.read_text().count("\n") for p in [*FILES, *TESTS]}
    assert {p: n for p, n in lengths.items() if n > 400} == {}


def test_every_public_name_says_what_it_is() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    silent = [
        f"{p.relative_to(ROOT)}: {node.name}"
        for p in FILES
        for node in parsed(p).body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_module_says_what_it_does() -> None:
    assert [str(p.relative_to(ROOT)) for p in FILES if not ast.get_docstring(parsed(p))] == []


@pytest.mark.parametrize("folder", ["combine", "decoding", "signals"])
def test_every_method_names_its_paper_or_says_that_it_is_a_baseline(folder: str) -> None:
    modules = {SOURCE.joinpath(*f.__module__.split(".")[1:]).with_suffix(".py") for f in factories(folder).values()}
    docs = {p.name: ast.get_docstring(parsed(p)) or "" for p in modules}
    assert [n for n, d in docs.items() if not re.search(r"arXiv\s+\d{4}\.\d{4,5}|[Bb]aseline|sprat's own", d)] == []


def test_nothing_is_pickled_or_evaluated() -> None:
    calls = [(p, n) for p in FILES for n in ast.walk(parsed(p)) if isinstance(n, ast.Call)]
    evil = [str(p) for p, n in calls if isinstance(n.func, ast.Name) and n.func.id in ("eval", "exec")]
    loads = [
        str(p) for p, n in calls for k in n.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"
    ]
    assert evil + loads + [str(p) for p in FILES if re.search(r"^\s*import (pickle|joblib)", p.read_text(), re.M)] == []


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    heavy = re.compile(r"^(?:import|from) (scipy|sklearn|polars|altair|torch|transformers|sentence_transformers)", re.M)
    assert {str(p.relative_to(ROOT)): m.group() for p in FILES if (m := heavy.search(p.read_text()))} == {}


def test_no_two_test_files_have_one_name() -> None:
    names = [p.name for p in TESTS if p.name.startswith("test_")]
    assert {n for n in names if names.count(n) > 1} == set()


def test_nothing_is_called_utils() -> None:
    assert [str(p) for p in [*FILES, *TESTS] if "util" in p.stem] == []


def test_no_machine_or_package_host_is_named() -> None:
    written = [p for d in ("src", "tests", "docs", "benchmarks", "recipes", ".ci") for p in (ROOT / d).rglob("*")]
    written += [p for p in ROOT.iterdir() if p.is_file() and p.name != ".git"]  # in a linked checkout it holds a path
    text = [
        p
        for p in written
        if p.suffix in (".py", ".md", ".toml", ".txt", ".sh", "") and p.is_file() and p.stat().st_size < 1e6
    ]
    named = re.compile(r"(?<![\w.])/(?:work|root|home)/\w|python" + r"hosted|pypi\." + r"org|index-" + r"url", re.I)
    found = {str(p.relative_to(ROOT)): m.group() for p in text if (m := named.search(p.read_text(errors="replace")))}
    assert found == {}


def test_what_is_public_can_be_had() -> None:
    assert [n for n in sprat.__all__ if getattr(sprat, n, None) is None] == []
    assert sprat.__all__ == sorted(sprat.__all__)


def test_a_public_function_is_not_hidden_by_the_module_of_its_name() -> None:
    import sprat.methods
    import sprat.replay
    import sprat.study

    assert all(callable(f) for f in (sprat.methods, sprat.replay, sprat.study))


def test_what_is_public_is_written_down() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [n for n in sprat.__all__ if f"`{n}`" not in page] == []
