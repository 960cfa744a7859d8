"""Verify a reply sentence by sentence with tools, remember what each said, and reflect on it all before the verdict.

HaluAgent (Cheng et al., arXiv 2406.11277): split, verify with a tool, keep a record, reflect. The turns (a thought, an
action, an observation), the tools and how a label in a thought overrides theirs are those of the authors' code, checked
by eye; their tuned models and their trajectories are not at hand, so any model may drive it, untuned. Where none does,
rules choose the tools: those are sprat's own. Tests compute both by hand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core import Request
from ..core import ask as asking
from ..drivers import drive_costed
from ..errors import BadInput
from ..sums import equations
from .corpus import Corpus, Passage
from .facts import Fact, located
from .support import Claim, Lexical, Support
from .tools import (
    Outcome,
    calculator,
    code_blocks,
    code_interpreter,
    wanted_length,
    word_count,
)

_LABEL = re.compile(r"label\s*(?:=|should be|is)\s*([01])\b", re.IGNORECASE)
_ACTION = re.compile(r"ACTION\s*:\s*(.+)", re.IGNORECASE)
TOOLS = {
    "split_text": ("text",),
    "search": ("sentence",),
    "calculator": ("sentence", "formula"),
    "word_count": ("length", "text"),
    "code_interpreter": (),
    "match": ("sentence", "context"),
    "get_answer": (),
}

SYSTEM = """You find hallucinations in a reply with tools. First decide whether to split the reply into sentences; then
check each one, or the reply as a whole, with a tool that fits; then reflect on all results and give the answer.

split_text(text="...")                        the sentences
search(sentence="...")                        passages about it; compare them with match afterwards
calculator(sentence="...", formula="...")     the value of + - * / and brackets; label 1 if the sentence says another
word_count(length=100, text="...")            label 1 if the text has another number of words
code_interpreter()                            label 1 if the reply's code does not run
match(sentence="...", context="...")          label 1 if the context does not bear the sentence out
get_answer()                                  when all is checked and reflected upon

label = 1 means an error, label = 0 means none. If you think that a label is wrong, write the right one in your thought,
such as label = 0. Each of your turns has exactly this form:
THOUGHT: what you think
ACTION: one tool call"""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing remembered: the sentence, the tool with what was asked and came back, and whether it is wrong.

    `wrong` is None where nothing could tell; `before` is the label that reflection changed (None: it did not).
    """

    sentence: Fact
    outcome: Outcome
    wrong: bool | None
    before: bool | None = None


@dataclass(frozen=True)
class Verification:
    """What was found: the records in order, whether any sentence is wrong (None: none could be told), and the cost.

    `turns` is the conversation with the model that drove it, empty for rules; `finished` is False where it ran out.
    """

    records: tuple[Record, ...]
    turns: tuple[Mapping[str, Any], ...] = ()
    finished: bool = True
    cost: float | None = 0.0

    @property
    def wrong(self) -> bool | None:
        """Whether the reply holds an error, by the last record of each sentence and tool."""
        told = [r.wrong for r in self.last.values() if r.wrong is not None]
        return any(told) if told else None

    @property
    def last(self) -> dict[tuple[Fact, str], Record]:
        """The last record of each sentence and tool: a tool's later word replaces its own, never another's."""
        return {(r.sentence, r.outcome.tool): r for r in self.records}

    @property
    def unsupported(self) -> list[Record]:
        """The wrong sentences, each with what the tool said."""
        return [r for r in self.last.values() if r.wrong]


def verify(
    reply: str,
    question: str = "",
    corpus: Corpus | None = None,
    support: Support | None = None,
    *,
    by: Any = None,
    run_code: bool = False,
    turns: int = 40,
) -> Verification:
    """Verify a reply; `by` is the model that chooses the tools (rules where none is given).

    `support` compares a sentence with passages (shared words where none is given: a baseline). Code is run only with
    `run_code`. Raises BadInput for fewer than two turns.
    """
    if turns < 2:
        raise BadInput(f"An agent needs at least two turns; got {turns}.")
    judge = support or Lexical()
    work = (
        _by_rules(reply, question, corpus, judge, run_code)
        if by is None
        else _by_model(reply, question, corpus, judge, run_code, by, turns)
    )
    found, node = drive_costed([work])[0]
    return replace(found, cost=node.cost)


async def _by_rules(reply: str, question: str, corpus: Corpus | None, support: Support, run: bool) -> Verification:
    """Sums to the calculator, code to the interpreter, all else to the corpus; a length to the word count.

    Reflection looks again at what the corpus did not bear out, together with the sentence before, since "he" and "it"
    find nothing by themselves.
    """
    records: list[Record] = []
    code = code_blocks(reply)
    for start, end in code:
        outcome = code_interpreter(reply[start:end], run)
        records.append(Record(Fact(reply[start:end], start, end), outcome, outcome.wrong))
    told = [s for s in located(reply) if not any(s.start < b and a < s.end for a, b in code) and _says(s.text)]
    for sentence in told:
        sums = [calculator(formula, said) for formula, said in equations(sentence.text)]
        known = [o for o in sums if o.wrong is not None]
        if known:
            worst = max(known, key=lambda o: bool(o.wrong))
            records.append(Record(sentence, worst, worst.wrong))
        elif corpus is not None:
            records.append(await _searched(sentence, sentence.text, corpus, support))
        else:
            records.append(Record(sentence, Outcome("none", "", "no tool can tell", None), None))
    wanted = wanted_length(question)
    if wanted is not None and wanted[1]:
        outcome = word_count(wanted[0], reply)
        records.append(Record(Fact(reply, 0, len(reply)), outcome, outcome.wrong))
    before: Fact | None = None
    for record in list(records):
        if record.outcome.tool == "search" and record.wrong and corpus is not None and before is not None:
            again = await _searched(record.sentence, f"{before.text} {record.sentence.text}", corpus, support)
            if not again.wrong:
                records.append(replace(again, before=True))
        before = record.sentence if record.sentence in told else before
    return Verification(tuple(records))


def _says(text: str) -> bool:
    return any(c.isalnum() for c in text) and not text.startswith("```")


async def _searched(sentence: Fact, asked: str, corpus: Corpus, support: Support) -> Record:
    passages = tuple(corpus.passages(asked))
    if not passages:
        return Record(sentence, Outcome("search", asked, "nothing was found", None), None)
    (chance,) = await support.chances([Claim(asked, passages)])
    return Record(sentence, Outcome("search", asked, passages[0].text, chance <= 0.5), chance <= 0.5)


async def _by_model(
    reply: str, question: str, corpus: Corpus | None, support: Support, run: bool, model: Any, turns: int
) -> Verification:
    asked = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"QUESTION: {question}\nREPLY: {reply}"},
    ]
    records: list[Record] = []
    for _ in range(turns):
        heard = await asking(model, Request(tuple(asked), {"temperature": 0}, thread=""), "agent")
        said = heard.text or ""
        asked.append({"role": "assistant", "content": said})
        action = _ACTION.search(said)
        thought = said[: action.start()] if action else said
        labels = _LABEL.findall(thought)
        if labels and records:
            wrong = labels[-1] == "1"
            if wrong is not records[-1].wrong:
                records[-1] = replace(records[-1], wrong=wrong, before=records[-1].wrong)
        elif labels:
            outcome = Outcome("thought", "", thought.strip()[:400], labels[-1] == "1")
            records.append(Record(Fact(reply, 0, len(reply)), outcome, outcome.wrong))
        name, given = read_call(action[1]) if action else ("", {})
        if name == "get_answer" and records:
            return Verification(tuple(records), tuple(asked))
        told = await _used(name, given, reply, corpus, support, run, records)
        asked.append({"role": "user", "content": f"OBSERVATION: {told}"})
    return Verification(tuple(records), tuple(asked), finished=False)


async def _used(
    name: str,
    given: Mapping[str, Any],
    reply: str,
    corpus: Corpus | None,
    support: Support,
    run: bool,
    records: list[Record],
) -> str:
    """What the tool says; a label that it gives goes into the records."""
    if name == "get_answer":
        return "Nothing is checked yet: use a tool, or write label = 1 or label = 0 in your thought."
    if name not in TOOLS or any(argument not in given for argument in TOOLS[name]):
        return "There is no such call. Use one of: " + "; ".join(f"{n}({', '.join(a)})" for n, a in TOOLS.items())
    if name == "split_text":
        return str([s.text for s in located(str(given["text"]))])
    if name == "search":
        if corpus is None:
            return "There is no corpus to search."
        return "\n".join(p.text for p in corpus.passages(str(given["sentence"]))) or "nothing was found"
    if name == "match":
        sentence, context = str(given["sentence"]), str(given["context"])
        (chance,) = await support.chances([Claim(sentence, (Passage(context),))])
        outcome = Outcome("match", sentence, context, chance <= 0.5)
    elif name == "calculator":
        sentence = str(given["sentence"])
        outcome = _calculated(sentence, str(given["formula"]))
    elif name == "word_count":
        sentence = reply  # as in the authors' code: the model need not copy it
        try:
            outcome = word_count(int(given["length"]), reply)
        except (TypeError, ValueError):
            return "length must be a whole number."
    else:
        blocks = code_blocks(reply)
        sentence = reply[slice(*blocks[0])] if blocks else reply
        outcome = code_interpreter(sentence, run)
    records.append(Record(_place(sentence, reply), outcome, outcome.wrong))
    label = "unknown" if outcome.wrong is None else int(outcome.wrong)
    shown = "" if name == "match" else f"{outcome.came_back}, "
    return f"{shown}label = {label}"


def _calculated(sentence: str, formula: str) -> Outcome:
    """The formula's value; wrong where the sentence gives numbers and none of them is it."""
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", sentence)
    outcomes = [calculator(formula, n.replace(",", "")) for n in numbers]
    if not outcomes:
        return replace(calculator(formula, "0"), wrong=None)
    return next((o for o in outcomes if o.wrong is False), outcomes[-1])


def _place(sentence: str, reply: str) -> Fact:
    at = reply.find(sentence)
    return Fact(sentence, at, at + len(sentence)) if at >= 0 else Fact(sentence, 0, len(reply))


def read_call(text: str) -> tuple[str, dict[str, Any]]:
    """A tool call as its name and arguments; ("", {}) for anything but one call of a name with constants."""
    try:
        node = ast.parse(text.strip().rstrip("."), mode="eval").body
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            return "", {}
        names: Sequence[str] = TOOLS.get(node.func.id, ())
        placed = {n: ast.literal_eval(a) for n, a in zip(names, node.args, strict=False)}
        return node.func.id, placed | {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "", {}
