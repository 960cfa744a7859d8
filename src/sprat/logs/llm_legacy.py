"""The prompts of `llm` before 0.36: the JSON that was sent, with what it refers to put back, or else rebuilt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from .chat import tool_call
from .llm_messages import Store
from .records import Row


@dataclass(frozen=True)
class Legacy:
    """A database's table `responses` and what belongs to it."""

    store: Store

    def messages(self, row: Row) -> list[Row]:
        """The messages of a response's request: its JSON where that holds messages, else rebuilt."""
        sent: Any = json.loads(row.get("prompt_json") or "null")
        if not isinstance(sent, dict) or not isinstance(cast("Row", sent).get("messages"), list):
            return self._rebuilt(row)
        turns = self._rows("select id from responses where conversation_id = ? and id <= ? order by id", *_place(row))
        pictures = iter([p for turn in turns for p in self._pictures(turn["id"])])

        def whole(value: Any) -> Any:
            """Puts back what the log keeps once: {"$": "f1"} a fragment, {"$r": [...]} a text of such, the pictures."""
            if isinstance(value, list):
                return [whole(v) for v in cast("list[Any]", value)]
            if not isinstance(value, dict):
                return value
            given = cast("Row", value)
            if given.keys() == {"$r"}:
                return "".join(whole(v) for v in given["$r"])
            if given.keys() == {"$"}:
                return self._referred(str(given["$"]))
            if given.get("type") == "image_url" and given["image_url"].get("url") == "data:...":
                return next(pictures, given)
            return {k: whole(v) for k, v in given.items()}

        return whole(cast("Row", sent)["messages"])

    def calls(self, response: str) -> list[Row]:
        """The tool calls of a reply."""
        query = "select name, arguments, tool_call_id id from tool_calls where response_id = ? order by id"
        return [tool_call(c) for c in self._rows(query, response)]

    def _rows(self, query: str, *values: Any) -> list[Row]:
        """A query's rows; none where the version that wrote the database had no such table."""
        if query.split(" from ")[1].split()[0] not in self.store.found:
            return []
        return [dict(row) for row in self.store.database.execute(query, values)]

    def _referred(self, name: str) -> str:
        if name.startswith("r:"):
            return self._rows("select response from responses where id = ?", name[2:])[0]["response"]
        return self.store.fragment(int(name.lstrip("f")))

    def _pictures(self, response: str) -> list[Row]:
        query = 'select attachment_id id from prompt_attachments where response_id = ? order by "order"'
        return [self.store.attachment(a["id"]) for a in self._rows(query, response)]

    def _rebuilt(self, row: Row) -> list[Row]:
        query = "select * from responses where conversation_id = ? and id <= ? order by id"
        messages: list[Row] = []
        for turn in self._rows(query, *_place(row)) or [row]:
            if turn.get("system") and not messages:
                messages.append({"role": "system", "content": turn["system"]})
            query = "select tool_call_id, output from tool_results where response_id = ? order by id"
            for result in self._rows(query, turn["id"]):
                messages.append({"role": "tool", "tool_call_id": result["tool_call_id"], "content": result["output"]})
            if asked := self._question(turn):
                messages.append({"role": "user", "content": asked})
            if turn["id"] != row["id"]:
                told: Row = {"role": "assistant", "content": turn["response"] or None}
                calls = self.calls(turn["id"])
                messages.append({**told, "tool_calls": calls} if calls else told)
        return messages

    def _question(self, turn: Row) -> Any:
        query = 'select fragment_id id from prompt_fragments where response_id = ? order by "order"'
        texts = [self.store.fragment(f["id"]) for f in self._rows(query, turn["id"])]
        text = "\n".join([*texts, turn["prompt"]] if turn["prompt"] else texts)
        pictures = self._pictures(turn["id"])
        return [{"type": "text", "text": text}, *pictures] if pictures else text


def _place(row: Row) -> tuple[Any, Any]:
    return row.get("conversation_id"), row["id"]
