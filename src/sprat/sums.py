"""The sums in a text, and their exact values: numbers, + - * / **, per cent and brackets; nothing else is evaluated.

A formula is read only where all of it stands there: "20 minutes + 10 + 5 = 35" begins before its first number, and is
left out. Checked by hand (tests/test_sums.py).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from .errors import BadInput

_LONGEST = 200
_EXPONENT = 64
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
# One class with one bounded quantifier: nested ones take exponential time on a long row of digits.
_EQUATION = re.compile(r"([\d.,%$+\-*/x×÷^() ]{3,120}+)=\s*\$?(-?\$?\d[\d,]*+(?:\.\d+)?+)(?! *[-+*/x×÷^=] *[\d($]| ?%)")
_BREAK = re.compile(r"[.,](?=\s)")
_BINARY = re.compile(r"\d[\d.]*%?\s*\)*\s*[-+*/x×÷^]\s*[(\-$ ]*\d")
_OPERATOR = "+-*/x×÷^%"
_WORDED = re.compile(r"\b(?:times|plus|minus|by)\s*$", re.IGNORECASE)


def equations(text: str) -> list[tuple[str, str]]:
    """The formulas in a text with the values that it gives them: "3 * 4 = 12" is ("3 * 4", "12")."""
    found: list[tuple[str, str]] = []
    for m in _EQUATION.finditer(text):
        parts = _BREAK.split(m[1])
        formula = parts[-1].strip(" .,")
        before = text[max(0, m.start() - 24) : m.start()] if len(parts) == 1 else ""
        if formula.startswith(("- ", "* ")) and (len(parts) > 1 or before.rstrip(" ")[-1:] in ("", "\n")):
            formula = formula[2:].lstrip()  # a list's mark
        if formula.count(")") == formula.count("(") + 1:
            formula = formula.lstrip(") ") if formula.startswith(")") else re.sub(r"^\d+\)\s+", "", formula)
        elif formula.count("(") == formula.count(")") + 1:
            formula = formula.removeprefix("(")
        if _BINARY.search(formula) and not _cut_off(formula, before):
            found.append((formula, m[2].replace("$", "").replace(",", "")))
    return found


def _cut_off(formula: str, before: str) -> bool:
    """Whether a formula began before what could be read of it; a minus after no word is a sign."""
    if formula[0] != "-":
        return formula[0] in _OPERATOR or bool(_WORDED.search(before))
    said = before.rstrip(" ")[-1:]
    return said.isalnum() or said in tuple(")]}>%€£\"'”’")


def calculate(formula: str) -> Fraction:
    """The exact value of a formula of numbers, + - * / ** and brackets; "5%" is 5 / 100.

    Raises BadInput for anything else, a division by zero, or a formula or power that is too large.
    """
    text = formula.replace("×", "*").replace("÷", "/").replace("^", "**").replace("$", "").replace(",", "")
    text = re.sub(r"(\d[\d.]*)%", r"(\1/100)", re.sub(r"(?<=[\d)% ])x(?=[\d( ])", "*", text)).strip()
    if len(text) > _LONGEST:
        raise BadInput(f"A formula has at most {_LONGEST} characters, not {len(text)}.")
    try:
        return _value(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadInput(f"'{formula}' is no formula.", hint="Numbers, + - * / ** and brackets.") from error
    except ZeroDivisionError as error:
        raise BadInput(f"'{formula}' divides by zero.") from error


def _value(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(str(ast.get_source_segment(text, node)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _value(node.operand, text) * (-1 if isinstance(node.op, ast.USub) else 1)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, text), _value(node.right, text)
        if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
        if isinstance(node.op, ast.Pow) and right.denominator == 1 and abs(right) <= _EXPONENT and abs(left) < 10**6:
            return left ** int(right)
    raise ValueError("not allowed")
