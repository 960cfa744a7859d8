"""`sprat study --watch` as a command: piped letters, a real terminal, SIGKILL; on the aquarium's recordings."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sprat.aquarium import recorded
from sprat.cli.watch import beside, clipped, printable
from sprat.reading import read
from sprat.study.certificate import check, from_json
from sprat.study.certify import Promise
from sprat.study.label_plan import plan
from sprat.study.labels import Plan, standing

COMMAND = [sys.executable, "-c", "import sys; from sprat.cli import main; sys.exit(main())"]
ARGUMENTS = ["--small", "sprat", "--large", "mackerel", "--within", "5"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of the recordings of two models, without scores."""
    path = tmp_path_factory.mktemp("watch") / "calls.jsonl"
    rows = [r for r in recorded() if not r.get("sample") and r["model"] != "fry"]
    kept = sorted({r["id"] for r in rows})[::3]
    wanted = frozenset(kept)
    lines = [json.dumps({k: v for k, v in r.items() if k != "score"}) for r in rows if r["id"] in wanted]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def made(calls: Path) -> Plan:
    return plan(read(calls), "sprat", "mackerel", (), Promise("within", 0.05), 0.05)


def right(made: Plan, row: int) -> str:
    """The key of somebody who knows the target."""
    a, b = (reply.text == made.example(row).target for reply in made.shown(row))
    return "=" if a and b else "a" if a else "b" if b else "n"


def keys(made: Plan, most: int = 10**9, until: Callable[[Any], bool] = lambda at: False) -> list[str]:
    """The keys of a whole session."""
    pressed, known = [], {}
    at = standing(made, known)
    while at.row is not None and len(pressed) < most and not until(at):
        pressed.append(right(made, at.row))
        known[made.example(at.row).id] = made.meant(at.row, pressed[-1])
        at = standing(made, known)
    return pressed


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "SPRAT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", "TERM": "xterm"}


def watch(tmp_path: Path, calls: Path, typed: str, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["study", str(calls), "--watch", *ARGUMENTS, "--out", str(tmp_path / "out")]
    arguments += ["--labels", str(tmp_path / "labels"), *more]
    return subprocess.run(
        [*COMMAND, *arguments], input=typed, text=True, capture_output=True, env=environment(tmp_path), timeout=120
    )


def test_piped_letters_tighten_the_bound_to_a_certificate_that_checks(calls: Path, made: Plan, tmp_path: Path):
    typed = keys(made)
    done = watch(tmp_path, calls, "\n".join(typed) + "\n", "--json")
    state = json.loads(done.stdout)
    assert (done.returncode, state["finished"], state["labels"]) == (0, True, len(typed))
    assert state["certified"]
    assert len(typed) < state["disagreements"] / 2
    assert "nothing certified yet" in done.stderr or "certified: " in done.stderr
    found = from_json((tmp_path / "out" / "certificate.json").read_text())
    assert (check(found), found.certified) == ([], state["certified"])


def test_what_is_certified_is_served_as_toml(calls: Path, made: Plan, tmp_path: Path):
    config = pytest.importorskip("sprat.config")
    typed = keys(made, until=lambda at: at.certified is not None)
    watch(tmp_path, calls, "\n".join([*typed, "q"]) + "\n")
    assert "sprat" in repr(config.load(tmp_path / "out" / "serve.toml"))


def test_a_ratio_is_refused_in_one_sentence(calls: Path, tmp_path: Path):
    arguments = ["study", str(calls), "--watch", "--small", "sprat", "--large", "mackerel", "--keep", "0.98"]
    done = subprocess.run([*COMMAND, *arguments], text=True, capture_output=True, env=environment(tmp_path))
    assert done.returncode == 2
    assert "--within" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_letter_is_explained_and_asked_again(calls: Path, made: Plan, tmp_path: Path):
    done = watch(tmp_path, calls, f"x\n{keys(made, 1)[0]}\nq\n")
    assert "'x' is no verdict" in done.stdout
    assert len((tmp_path / "labels").read_text().splitlines()) == 1


def test_models_are_not_named_where_a_reply_is_shown(calls: Path, tmp_path: Path):
    shown = watch(tmp_path, calls, "q\n").stdout.partition("─ A ─")[2].partition("q quit")[0]
    assert shown
    assert "sprat" not in shown
    assert "mackerel" not in shown


class Terminal:
    """The command on a real terminal of 120 columns."""

    def __init__(self, tmp_path: Path, calls: Path) -> None:
        arguments = ["study", str(calls), "--watch", *ARGUMENTS, "--out", str(tmp_path / "out")]
        self.number, inside = pty.openpty()
        environ = {**environment(tmp_path), "COLUMNS": "120"}
        arguments += ["--labels", str(tmp_path / "labels")]
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=inside, stdout=inside, stderr=inside, env=environ, start_new_session=True
        )
        os.close(inside)
        self.seen = ""

    def until(self, words: str, seconds: float = 60) -> str:
        """What is printed up to these words."""
        while words not in self.seen:
            if not select.select([self.number], [], [], seconds)[0]:
                raise AssertionError(f"no '{words}' in: {self.seen[-500:]}")
            try:
                self.seen += os.read(self.number, 65536).decode(errors="replace")
            except OSError:  # closed
                assert words in self.seen, self.seen[-500:]
        before, _, self.seen = self.seen.partition(words)
        return before

    def press(self, key: str) -> None:
        os.write(self.number, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.number)


@pytest.fixture
def terminal(tmp_path: Path, calls: Path):
    opened: list[Terminal] = []

    def open_() -> Terminal:
        opened.append(Terminal(tmp_path, calls))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_on_a_terminal_one_key_is_a_label_and_u_takes_it_back(terminal: Any, tmp_path: Path, made: Plan):
    screen = terminal()
    screen.until("q quit")
    screen.press("=")
    screen.until("1 labelled")
    screen.until("q quit")
    screen.press("\x1b[A")  # an arrow is no label
    screen.until("is no verdict")
    screen.press("u")
    screen.until("taken back")
    screen.until("0 labelled")
    screen.until("q quit")
    screen.press("q")
    screen.until("Labels:")
    assert screen.process.wait(30) == 0
    verdicts = [json.loads(line)["verdict"] for line in (tmp_path / "labels").read_text().splitlines()]
    assert verdicts == ["both", "undo"]


def test_after_a_kill_the_next_row_is_the_one_that_was_asked(terminal: Any, made: Plan):
    screen = terminal()
    for number, key in enumerate(keys(made, 3), 1):
        screen.until("q quit")
        screen.press(key)
        screen.until(f"{number} labelled")
    asked = screen.until("q quit")
    os.kill(screen.process.pid, signal.SIGKILL)
    again = terminal()
    again.until("3 labels found")
    resumed = again.until("q quit")
    name = next(e.id for e in made.data if e.id in asked)
    assert name in resumed


def test_an_interruption_ends_like_q(terminal: Any):
    screen = terminal()
    screen.until("q quit")
    os.killpg(screen.process.pid, signal.SIGINT)
    screen.until("Labels:")
    assert screen.process.wait(30) == 0


def test_control_characters_of_a_reply_do_not_reach_the_terminal():
    assert printable("a\x1b[2Jb\nc") == "a�[2Jb\nc"


def test_a_long_reply_shows_its_beginning_and_its_end():
    text = "a" * 3000 + "the end"
    assert clipped(text, whole=True) == text
    assert clipped(text, whole=False).endswith("the end")
    assert len(clipped(text, whole=False)) < 1700


def test_labels_lie_beside_the_calls():
    assert beside("x/calls.jsonl") == Path("x/calls.jsonl.labels.jsonl")
