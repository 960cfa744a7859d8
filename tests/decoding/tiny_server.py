"""An OpenAI-compatible server on loopback over one of the tiny models, with top log-probabilities; it keeps every byte.

Completions (text or ids, echo, logprobs=-1 for all) and chat (top_logprobs, continue_final_message).
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

import sprat
from sprat.aquarium import load
from sprat.whitebox.arrays import log_softmax


class TinyServer:
    """`calls` are the bodies asked, `received` every byte of every request, headers too."""

    def __init__(self, model: str = "mackerel", most: int = -1) -> None:
        self.model, self.most = load(model), most
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.received: list[bytes] = []
        self.known: dict[tuple[int, ...], np.ndarray] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> TinyServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                self.rfile = _Tee(self.rfile, outer.received)  # type: ignore[assignment]

            def log_message(self, *_: Any) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer.lock:
                    outer.calls.append((self.path, body))
                    status, answer = outer.answer(self.path, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def endpoint(self, name: str = "far", **more: Any) -> Any:
        return sprat.openai(name, self.url, **{"logprobs": True, "at_once": 4, "retries": 0, **more})

    def remote(self, top: int = 20, **more: Any) -> Any:
        from sprat.decoding import remote

        return remote(self.endpoint(), sprat.tiny("mackerel"), top=top, **more)

    def after(self, ids: list[int]) -> np.ndarray:
        """(vocabulary,) log-probabilities after these ids."""
        key = tuple(ids)
        if key not in self.known:
            self.known[key] = log_softmax(self.model.session(1).feed(np.array([ids]), keep=1))[0, 0]
        return self.known[key]

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path.endswith("/chat/completions"):
            top = (body.get("top_logprobs") or 0) if body.get("logprobs") else 0
            said = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
            last = body["messages"][-1]
            ids = self.model.vocabulary.encode(said + (last["content"] if last["role"] == "assistant" else ""))
        else:
            top, prompt = body.get("logprobs") or 0, body["prompt"]
            ids = self.model.vocabulary.encode(prompt) if isinstance(prompt, str) else prompt
        size = len(self.model.vocabulary.tokens)
        if 0 <= self.most < (size if top < 0 else top):
            return 400, {"error": {"message": f"logprobs must be at most {self.most}"}}
        top = size if top < 0 else top
        if path.endswith("/chat/completions"):
            return 200, self._chat(ids, top, body.get("max_tokens", 32))
        places = [
            *([None, *(self.after(ids[:i]) for i in range(1, len(ids)))] if body.get("echo") else ()),
            self.after(ids),
        ]
        named = [
            None if p is None else {self.model.vocabulary.tokens[i]: float(p[i]) for i in _best(p, top)} for p in places
        ]
        choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": {"top_logprobs": named}}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        return 200, {"id": "x", "object": "text_completion", "choices": [choice], "usage": usage}

    def _chat(self, ids: list[int], top: int, most: int) -> Any:
        tokens, vocabulary, read = self.model.vocabulary.tokens, self.model.vocabulary, len(ids)
        content: list[Any] = []
        finish = "length"
        for _ in range(min(most, self.model.weights.positions - read)):
            line = self.after(ids)
            best = int(line.argmax())
            tops = [{"token": tokens[i], "logprob": float(line[i]), "bytes": list(tokens[i].encode())}
                    for i in _best(line, top)]  # fmt: skip
            content.append(
                {**tops[0], "top_logprobs": tops} if tops else {"token": tokens[best], "logprob": float(line[best])}
            )
            ids = [*ids, best]
            if best == vocabulary.end:
                finish = "stop"
                break
        text = vocabulary.decode(ids[read:])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish,
                  "logprobs": {"content": content} if top else None}  # fmt: skip
        usage = {"prompt_tokens": read, "completion_tokens": len(content), "total_tokens": read + len(content)}
        return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


def _best(line: np.ndarray, top: int) -> list[int]:
    return np.argsort(-line, kind="stable")[:top].tolist()


class _Tee:
    """Keeps what is read."""

    def __init__(self, inner: Any, kept: list[bytes]) -> None:
        self.inner, self.kept = inner, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def readline(self, *given: Any) -> bytes:
        self.kept.append(self.inner.readline(*given))
        return self.kept[-1]

    def read(self, *given: Any) -> bytes:
        self.kept.append(self.inner.read(*given))
        return self.kept[-1]
