"""OpenAI's responses, streamed: numbered events, each item opened, written and closed before the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core import Piece, Reply
from .chat import said_in
from .problem import Problem, dumped


def text_part(text: str) -> dict[str, Any]:
    """A part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(number: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    """The item of what is said."""
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(number: str, place: int, call: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The item of a function call."""
    function = call.get("function") or {}
    return {
        "id": f"fc_{number}_{place}",
        "type": "function_call",
        "status": status,
        "call_id": call.get("id") or f"call_{place}",
        "name": function.get("name") or "",
        "arguments": function.get("arguments") or "",
    }


class ResponseStream:
    """The events of one response."""

    def __init__(self, made: Callable[[Reply | None, str], dict[str, Any]], number: str) -> None:
        self.made, self.number, self.model = made, number, ""
        self.count = 0
        self.begun = False
        self.items: list[dict[str, Any]] = []
        self.open: Any = None  # "text", or a tool call's number
        self.text = ""
        self.used: set[int] = set()

    def _event(self, kind: str, **body: Any) -> bytes:
        made = dumped({"type": kind, "sequence_number": self.count, **body})
        self.count += 1
        return f"event: {kind}\ndata: ".encode() + made + b"\n\n"

    def _begin(self) -> bytes:
        if self.begun:
            return b""
        self.begun = True
        made = self.made(None, self.model)
        return self._event("response.created", response=made) + self._event("response.in_progress", response=made)

    @property
    def _place(self) -> int:
        return len(self.items) - 1

    def _open(self, which: Any, item: dict[str, Any]) -> bytes:
        out = self._close()
        self.open = which
        self.items.append(item)
        return out + self._event("response.output_item.added", output_index=self._place, item=item)

    def _close(self) -> bytes:
        if self.open is None:
            return b""
        item, place = {**self.items[-1], "status": "completed"}, self._place
        at = {"item_id": item["id"], "output_index": place}
        if self.open == "text":
            part = text_part(self.text)
            item["content"] = [part]
            inner = {**at, "content_index": 0}
            out = self._event("response.output_text.done", **inner, text=self.text, logprobs=[])
            out += self._event("response.content_part.done", **inner, part=part)
        else:
            done = {"arguments": item["arguments"], "name": item["name"]}
            out = self._event("response.function_call_arguments.done", **at, **done)
        self.items[-1], self.open = item, None
        return out + self._event("response.output_item.done", output_index=place, item=item)

    def _said(self, text: str) -> bytes:
        out = b""
        if self.open != "text":
            out = self._open("text", message_item(self.number, "in_progress", []))
            self.text = ""
            at = {"item_id": self.items[-1]["id"], "output_index": self._place, "content_index": 0}
            out += self._event("response.content_part.added", **at, part=text_part(""))
        self.text += text
        at = {"item_id": self.items[-1]["id"], "output_index": self._place, "content_index": 0}
        return out + self._event("response.output_text.delta", **at, delta=text, logprobs=[])

    def _called(self, which: int, part: Mapping[str, Any]) -> bytes:
        out, given = b"", (part.get("function") or {}).get("arguments") or ""
        if self.open != which:
            if which in self.used:
                raise Problem(502, "The upstream writes several tool calls at once.")
            self.used.add(which)
            item = {**call_item(self.number, len(self.items), part, "in_progress"), "arguments": ""}
            out = self._open(which, item)
        if not given:
            return out
        item = self.items[-1]
        item["arguments"] += given
        at = {"item_id": item["id"], "output_index": self._place}
        return out + self._event("response.function_call_arguments.delta", **at, delta=given)

    def piece(self, piece: Piece) -> bytes:
        """The piece's text and parts of function calls."""
        delta, _ = said_in(piece)
        out = self._begin()
        if isinstance(text := delta.get("content"), str):
            out += self._said(text)
        for part in delta.get("tool_calls") or ():
            out += self._called(part.get("index") or 0, part)
        return out

    def end(self, replies: list[Reply], card: Mapping[str, Any] | None) -> bytes:
        """What was not said yet, and the whole response, its items those of the events."""
        reply = replies[0]
        out = self._begin()
        if reply.text and not any(item["type"] == "message" for item in self.items):
            out += self._said(reply.text)
        if not self.used:
            out += b"".join(self._called(i, call) for i, call in enumerate(reply.tool_calls))
        out += self._close()
        made = {**self.made(reply, self.model), "output": self.items, **({} if card is None else {"sprat": card})}
        return out + self._event(f"response.{made['status']}", response=made)

    def error(self, problem: Problem) -> bytes:
        """The failed response."""
        code = "rate_limit_exceeded" if problem.status == 429 else "server_error"
        failed = {
            **self.made(None, self.model),
            "status": "failed",
            "error": {"code": code, "message": problem.message},
        }
        return self._begin() + self._event("response.failed", response=failed)
