"""Keeps labels in a file beside the calls: one line each, on disk before the next is asked, so nothing is ever lost.

A line holds the row's id, the hashes of the two replies, the verdict and the time. Later lines stand over earlier
ones; a label whose replies have changed is not used; a line cut short by a crash is passed over.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..core import Reply
from ..errors import BadInput
from .labels import HARM, Plan, Verdict

_MIRROR: dict[str, str] = {"small": "large", "large": "small"}


def fingerprint(reply: Reply) -> str:
    """A short hash of what a reply says: its text and tool calls."""
    said = json.dumps([reply.text, [dict(c) for c in reply.tool_calls]], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass
class LabelFile:
    """The labels of one plan: `verdicts` by row id in the order given, `stale` those whose replies have changed."""

    path: Path
    plan: Plan
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    stale: int = 0

    @classmethod
    def open(cls, path: Path, plan: Plan) -> LabelFile:
        """Read what is there; raises BadInput where the file can't be read or written."""
        made = cls(path, plan)
        known = {e.id: i for i, e in enumerate(plan.data)}
        try:
            with open(path, "a+b") as file:
                file.seek(0)
                lines = file.read().split(b"\n")
        except OSError as error:
            raise BadInput(f"{path} can't be written: {error.strerror}.", hint="Give another --labels file.") from error
        for line in lines:
            try:
                found: Any = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                made._take(cast("dict[str, Any]", found), known)
        return made

    def _take(self, line: dict[str, Any], known: dict[str, int]) -> None:
        row, verdict, replies = str(line.get("id")), line.get("verdict"), line.get("replies")
        if row not in known or not isinstance(replies, list):
            return
        now = self._replies(known[row])
        if verdict == "undo":
            if sorted(now) == sorted(map(str, replies)):
                self.verdicts.pop(row, None)
        elif verdict in HARM and replies in (now, now[::-1]):
            meant = verdict if replies == now else _MIRROR.get(verdict, verdict)
            self.verdicts.pop(row, None)  # the order is that of the last label
            self.verdicts[row] = cast("Verdict", meant)
        else:
            self.stale += 1

    def _replies(self, row: int) -> list[str]:
        example = self.plan.example(row)
        found = [example.reply(m) for m in (self.plan.small, self.plan.large)]
        return [fingerprint(r) for r in found if r is not None]

    def add(self, row: int, verdict: Verdict) -> None:
        """Keep one label, on disk before this returns; raises BadInput where it can't be."""
        name = self.plan.example(row).id
        self._append(row, name, verdict)
        self.verdicts.pop(name, None)
        self.verdicts[name] = verdict

    def undo(self) -> str | None:
        """Take back the last label that stands, and say whose it was; None where there is none."""
        if not self.verdicts:
            return None
        name = next(reversed(self.verdicts))
        row = next(i for i, e in enumerate(self.plan.data) if e.id == name)
        self._append(row, name, "undo")
        del self.verdicts[name]
        return name

    def _append(self, row: int, name: str, verdict: str) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = {"id": name, "replies": self._replies(row), "verdict": verdict, "time": now}
        try:
            with open(self.path, "a+b") as file:
                if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    file.write(b"\n")  # the last line was cut short
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(f"{self.path} can't be written: {error.strerror}.", hint="Free some space.") from error
