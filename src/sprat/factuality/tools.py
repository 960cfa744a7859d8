"""The tools that sentences are verified with: a calculator, a word count, code that is parsed and perhaps run.

The toolbox of HaluAgent (Cheng et al., arXiv 2406.11277; read from the authors' code), without its web search and its
paid judge: a corpus and any support stand in for these (agent.py). Nothing is evaluated but numbers and + - * / ** in
brackets. Checked by hand.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import BadInput
from ..sums import calculate

_LENGTH = re.compile(r"\b(?:in|of|with|exactly|about|write)?\s*(exactly )?(\d{1,5})[ -]words?\b", re.IGNORECASE)
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool was asked, what came back, and whether it shows an error (None: it can't tell)."""

    tool: str
    asked: str
    came_back: str
    wrong: bool | None


def calculator(formula: str, said: str) -> Outcome:
    """Whether a formula has the value that is said of it, to as many decimals as are said."""
    try:
        value = calculate(formula)
    except BadInput as error:
        return Outcome("calculator", formula, str(error), None)
    decimals = len(said.partition(".")[2])
    right = round(value, decimals) == Fraction(said) or abs(value - Fraction(said)) * 2 <= Fraction(1, 10**decimals)
    shown = str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
    return Outcome("calculator", f"{formula} = {said}", f"{formula} = {shown}", not right)


def wanted_length(question: str) -> tuple[int, bool] | None:
    """How many words a question asks for, and whether exactly so many; None where it does not say."""
    found = _LENGTH.search(question)
    return (int(found[2]), bool(found[1])) if found else None


def word_count(length: int, text: str) -> Outcome:
    """Whether a text has exactly so many words; characters that are words by themselves (Chinese, ...) count each."""
    count = len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:['’-]\w+)*", text))
    return Outcome("word_count", f"{length} words", f"{count} words", count != length)


def code_blocks(text: str) -> list[tuple[int, int]]:
    """The places of the Python in fences."""
    return [m.span(1) for m in _FENCE.finditer(text)]


_LIMITS = """import resource, runpy, sys
for what, most in (("CPU", 5), ("AS", 1 << 29), ("FSIZE", 1 << 20), ("NOFILE", 32)):
    resource.setrlimit(getattr(resource, "RLIMIT_" + what), (most, most))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def code_interpreter(code: str, run: bool = False, seconds: float = 5.0) -> Outcome:
    """Whether Python code parses and, with `run`, ends without an error.

    It runs as a process of its own, without the environment, in an empty folder, with limits of time, memory and file
    size. That is no sandbox: the code may read your files and use the network. Leave it off for code you don't trust.
    """
    asked = code.strip().splitlines()[0][:80] if code.strip() else ""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Outcome("code_interpreter", asked, f"does not parse: {error}", True)
    if not run:
        return Outcome("code_interpreter", asked, "parses; not run, since that was not allowed", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "code.py"
        path.write_text(code, encoding="utf-8")
        command = [sys.executable, "-I", "-c", _LIMITS, str(path)]
        try:
            done = subprocess.run(
                command, cwd=folder, env={}, capture_output=True, text=True, timeout=seconds, check=False, input=""
            )
        except subprocess.TimeoutExpired:
            return Outcome("code_interpreter", asked, f"did not end in {seconds:g} s", True)
    last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return Outcome("code_interpreter", asked, "ran" if done.returncode == 0 else last[:200], done.returncode != 0)
