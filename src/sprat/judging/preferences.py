"""Sets of pairs with what people prefer, read from files: a request, two replies, and which one is better.

Rows are JSON, one a line or in one list. Known are: prompt, a, b, preferred (a, b or tie; `by` holds several people's);
LLMBar's input, output_1, output_2, label (arXiv 2310.07641); hh-rlhf's chosen and rejected dialogues, whose common
beginning is the request (arXiv 2204.05862); PandaLM's instruction, input, response1, response2, annotator1 to
annotator3 (arXiv 2306.05087). `judges` in a row holds stored verdicts: a name
with what it said with a first, and with b first.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import Request
from ..errors import BadInput
from ..signals.verdicts import Side, Verdict, settled

_SIDES: dict[str, Side] = {"a": "a", "b": "b", "tie": "tie", "1": "a", "2": "b", "0": "tie"}
_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_PLAIN = frozenset({"prompt", "a", "b", "preferred"})
_LLMBAR = frozenset({"input", "output_1", "output_2", "label"})
_HH = frozenset({"chosen", "rejected"})
_PANDA = frozenset({"instruction", "response1", "response2", "annotator1"})


@dataclass(frozen=True)
class Preference:
    """Two replies to a request and which one people find better: "a", "b" or "tie"; `by` are single people's.

    `stored` are other judges' verdicts that came with the row.
    """

    request: Request
    a: str
    b: str
    preferred: Side
    set: str = ""
    by: tuple[Side, ...] = ()
    stored: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])


def preferences(path: str | Path) -> list[Preference]:
    """The pairs of a file, or of all files of a folder that hold some; raises BadInput where there are none."""
    path = Path(path)
    if not path.exists():
        raise BadInput(f"There is no file or folder {path}.")
    files = sorted(f for f in path.rglob("*.json*") if f.is_file()) if path.is_dir() else [path]
    found: list[Preference] = []
    for file in files:
        name = file.name.partition(".")[0]
        for row in rows_of(file):
            pair = _pair(row, name)
            if pair is not None:
                found.append(pair)
            elif not path.is_dir():
                raise BadInput(f"{file} holds a row that is no pair: it has {', '.join(sorted(row))}.",
                               hint="Needed: prompt, a, b, preferred.")  # fmt: skip
    if not found:
        raise BadInput(f"{path} holds no pairs that people compared.", hint="Rows need prompt, a, b, preferred.")
    return found


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line or one list, gzipped or not; raises BadInput that names the file."""
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
        told: Any = json.loads(text) if text.lstrip()[:1] == "[" else [
            json.loads(line) for line in text.splitlines() if line.strip()
        ]  # fmt: skip
    except (OSError, EOFError, ValueError) as error:
        raise BadInput(f"{file} is not readable as JSON rows: {error}.") from error
    return [row for row in told if isinstance(row, dict)]


def shows_pair(row: Mapping[str, Any]) -> bool:
    """Whether a row has the columns of one of the known layouts."""
    return any(row.keys() >= layout for layout in (_PLAIN, _LLMBAR, _HH, _PANDA))


def _pair(row: Mapping[str, Any], name: str) -> Preference | None:
    if row.keys() >= _PLAIN:
        asked = row["prompt"]
        request = Request.of(asked if isinstance(asked, str) else list(asked))
        by: tuple[Side, ...] = tuple(_side(s, name) for s in row.get("by") or ())
        preferred = _side(row["preferred"], name)
        return Preference(request, str(row["a"]), str(row["b"]), preferred, name, by, _stored(row, name))
    if row.keys() >= _LLMBAR:
        request, preferred = Request.of(str(row["input"])), _side(row["label"], name)
        return Preference(request, str(row["output_1"]), str(row["output_2"]), preferred, name, (), _stored(row, name))
    if row.keys() >= _HH:
        return _dialogues(str(row["chosen"]), str(row["rejected"]), name)
    if row.keys() >= _PANDA:
        by: tuple[Side, ...] = tuple(_side(v, name) for k, v in sorted(row.items()) if k.startswith("annotator"))
        asked = "\n\n".join(str(row[k]) for k in ("instruction", "input") if row.get(k))
        preferred = most_say(by)
        told = str(row["response1"]), str(row["response2"])
        return Preference(Request.of(asked), *told, preferred, name, by, _stored(row, name))
    return None


def most_say(by: Sequence[Side]) -> Side:
    """What most people say; a tie where two are said equally often."""
    counts = Counter(by).most_common()
    return "tie" if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def _side(value: Any, name: str) -> Side:
    found = _SIDES.get(str(value).strip().lower())
    if found is None:
        raise BadInput(f"A row of {name} prefers {value!r}.", hint="Known: a, b, tie; 1, 2, 0.")
    return found


def _stored(row: Mapping[str, Any], name: str) -> dict[str, Verdict]:
    """Stored verdicts: a judge's name with one side, or with the sides of both orders (null: not readable)."""
    made: dict[str, Verdict] = {}
    for judge, told in (row.get("judges") or {}).items():
        both: list[Any] = list(told) if isinstance(told, list) else [told, told]
        sides: list[Side | None] = [None if t is None else _side(t, name) for t in both]
        if len(sides) != 2:
            raise BadInput(f"A row of {name} has {len(sides)} verdicts of {judge}.", hint="Give one, or both orders'.")
        made[str(judge)] = settled((sides[0],), (sides[1],))
    return made


def _dialogues(chosen: str, rejected: str, name: str) -> Preference | None:
    """The turns that both dialogues share, and the last reply of each; None where they differ before."""
    one, other = _turns(chosen), _turns(rejected)
    if len(one) < 2 or one[:-1] != other[:-1] or one[-1] == other[-1] or one[-1]["role"] != "assistant":
        return None
    replies = [one[-1]["content"], other[-1]["content"]]
    # Which one stands first is drawn by the texts, so that a judge that prefers a place gains nothing.
    turned = hashlib.sha256(min(replies).encode()).digest()[0] % 2 == 1
    a, b = sorted(replies, reverse=turned)
    return Preference(Request.of(one[:-1]), a, b, "a" if a == replies[0] else "b", name)


def _turns(dialogue: str) -> list[dict[str, str]]:
    parts = _TURN.split("\n\n" + dialogue.strip())
    return [{"role": _ROLES[who], "content": said.strip()} for who, said in zip(parts[1::2], parts[2::2], strict=True)]
