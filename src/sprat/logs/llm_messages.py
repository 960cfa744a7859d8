"""What an `llm` database keeps once and refers to: hashed messages (0.36), fragments, attachments, tools, schemas."""

from __future__ import annotations

import base64
import json
import sqlite3
from dataclasses import dataclass
from typing import Any, cast

from .chat import tool_call
from .records import Row


@dataclass(frozen=True)
class Store:
    """A database of the `llm` command and the names of its tables."""

    database: sqlite3.Connection
    found: set[str]

    def chain(self, tip: str | None, until: str | None = None) -> list[Row]:
        """The messages from the root (or from after `until`) to `tip`, oldest first."""
        messages: list[Row] = []
        while tip and tip != until:
            row = self.database.execute("select parent_hash, role from messages where hash = ?", (tip,)).fetchone()
            messages = [*self._message(tip, row["role"]), *messages]
            tip = row["parent_hash"]
        return messages

    def _message(self, name: str, role: str) -> list[Row]:
        query = "select type, text, payload from parts where message_hash = ? order by position"
        shown: list[Row] = []
        calls: list[Row] = []
        results: list[Row] = []
        for part in self.database.execute(query, (name,)):
            more: Row = json.loads(part["payload"] or "{}")
            if part["type"] == "text":
                shown.append({"type": "text", "text": self._text(part["text"], more)})
            elif part["type"] == "attachment":
                shown.append(self.attachment(more["attachment"]["id"]))
            elif part["type"] == "tool_call":
                calls.append(tool_call({**more, "id": more.get("tool_call_id")}))
            elif part["type"] == "tool_result":
                results.append({"role": "tool", "tool_call_id": more.get("tool_call_id"), "content": more["output"]})
        if results:
            return results
        texts = [p["text"] for p in shown if p["type"] == "text"]
        content: Any = "".join(texts) if len(texts) == len(shown) else shown
        message: Row = {"role": role, "content": content}
        return [{**message, "content": content or None, "tool_calls": calls} if calls else message]

    def _text(self, text: str | None, payload: Row) -> str:
        """A part's text; one that borrows fragments is stitched together."""
        pieces = cast("list[Row]", payload.get("text_ref") or [])
        if text is not None or not pieces:
            return text or str(payload.get("text") or "")
        return "".join(p["literal"] if "literal" in p else self.fragment(p["fragment"]) for p in pieces)

    def fragment(self, name: Any) -> str:
        row = self.database.execute("select content from fragments where id = ?", (name,)).fetchone()
        if row is None:
            raise ValueError(f"fragment {name} was deleted")
        return row["content"]

    def attachment(self, name: str) -> Row:
        """A picture or file by its URL, its bytes, or (where only its path was kept) its content's hash."""
        row = self.database.execute("select type, path, url, content from attachments where id = ?", (name,)).fetchone()
        url = row["url"] or f"llm-attachment:{name}"
        if row["content"]:
            url = f"data:{row['type']};base64,{base64.b64encode(row['content']).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}

    def tools(self, query: str, name: str) -> list[Row]:
        """The tools offered, as OpenAI writes them; `query` finds their ids."""
        if not {"tools", query.split()[3]} <= self.found:
            return []
        query = f"select name, description, input_schema from tools where id in ({query})"
        return [
            {"type": "function", "function": {"name": t[0], "description": t[1], "parameters": json.loads(t[2])}}
            for t in self.database.execute(query, (name,))
        ]

    def schema(self, name: str) -> Any:
        """A JSON schema that replies had to fit."""
        return json.loads(self.database.execute("select content from schemas where id = ?", (name,)).fetchone()[0])
