"""The gateway's OpenAPI document, made from its routes and from the limits that the dialects check by.

It says what is checked, no more: fields that are not named pass on to the model, so each body may hold others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .asked import LONGEST_NAME, MOST_SAMPLES, NUMBERS, OVERRIDES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"anyOf": [{"const": "auto"}, {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_TABLE: Schema = {"type": "object"}
_WHOLE: Schema = {"type": "integer", "minimum": 1, "maximum": 1 << 31}
_TABLES: Schema = {"type": "array", "items": _TABLE}
_CONTENT: Schema = {"anyOf": [_TEXT, _TABLES, {"type": "null"}]}
_MESSAGES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "object", "required": ["role"], "properties": {"role": _TEXT, "content": _CONTENT}},
}
_KINDS: Mapping[str, Schema] = {
    "model": _NAME,
    "max_cost": {"type": "number", "minimum": 0, "exclusiveMaximum": 1e9},
    "card": {"type": "boolean"},
    "thread": {"type": "string", "maxLength": LONGEST_NAME},
}
_NUMBERED: Schema = {
    name: {"type": ["number", "null"], "minimum": low, "maximum": high} for name, (low, high) in NUMBERS.items()
}
_SPRAT: Schema = {
    "type": ["object", "null"],
    "properties": {name: _KINDS.get(name, {}) for name in OVERRIDES},
    "additionalProperties": False,
}
_SHARED: Schema = {"model": _NAME, "stream": _FLAG, "sprat": _SPRAT, **_NUMBERED}
_STOP: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}, {"type": "null"}]}
_SAMPLED: Schema = {
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_SAMPLES},
    "stop": _STOP,
    "seed": {"type": ["integer", "null"], "minimum": -(1 << 31), "maximum": 1 << 31},
    "stream_options": {"type": ["object", "null"]},
}
_TOOLS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"function": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}}},
    },
}


def _body(needed: Iterable[str], **fields: Schema) -> Schema:
    return {"type": "object", "required": ["model", *needed], "properties": {**_SHARED, **fields}}


# What each dialect reads; a route that is not here takes no body that is described.
_BODIES: Mapping[str, Schema] = {
    "/v1/chat/completions": _body(["messages"], messages=_MESSAGES, max_tokens=_WHOLE, tools=_TOOLS, **_SAMPLED),
    "/v1/completions": _body(
        ["prompt"],
        prompt={"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1}]},
        max_tokens=_WHOLE,
        logprobs={"type": ["integer", "null"], "minimum": 0, "maximum": 20},
        **_SAMPLED,
    ),
    "/v1/responses": _body(
        ["input"],
        input={"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": _TABLE}]},
        instructions={"type": ["string", "null"]},
        max_output_tokens=_WHOLE,
        metadata={"type": ["object", "null"], "additionalProperties": _TEXT},
        text={"type": ["object", "null"]},
        tools=_TABLES,
    ),
    "/v1/messages": _body(
        ["messages", "max_tokens"],
        messages={**_MESSAGES, "items": {**_MESSAGES["items"], "required": ["role", "content"]}},
        max_tokens=_WHOLE,
        system={"anyOf": [_TEXT, _TABLES]},
        stop_sequences={"type": "array", "items": _TEXT},
        tools=_TABLES,
    ),
    "/v1/embeddings": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": _NAME,
            "sprat": _SPRAT,
            "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": _TEXT}]},
            "encoding_format": {"enum": ["float", "base64", None]},
            "dimensions": {"type": ["integer", "null"]},
        },
    },
}
_OPENAI_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ANTHROPIC_ERROR: Schema = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {"type": "object", "required": ["type", "message"], "properties": {"type": _TEXT, "message": _TEXT}},
    },
}
_REPLIES: Mapping[str, tuple[str, ...]] = {
    "/v1/chat/completions": ("id", "object", "created", "model", "choices"),
    "/v1/completions": ("id", "object", "created", "model", "choices"),
    "/v1/responses": ("id", "object", "created_at", "status", "output"),
    "/v1/messages": ("id", "type", "role", "content", "stop_reason", "usage"),
    "/v1/embeddings": ("object", "data", "model", "usage"),
    "/v1/models": ("data",),
    "/v1/models/": ("id",),
}
# Every status that may come; 500 is none of them.
_FAILURES = ("400", "401", "403", "404", "405", "408", "413", "422", "429", "431", "499", "501", "502", "503", "504")


def document(routes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document of these routes, by their addresses and methods; OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for path, methods in routes.items():
        many = path.endswith("/")
        shown = f"{path}{{name}}" if many else path
        paths[shown] = {method.lower(): _operation(path, method) for method in methods}
        if many:
            place = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            paths[shown]["parameters"] = [place]
    try:
        number = version("sprat")
    except PackageNotFoundError:
        number = "0"
    return {
        "openapi": "3.1.0",
        "info": {"title": "sprat serve", "version": number},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def _operation(path: str, method: str) -> dict[str, Any]:
    kinds: dict[str, Any] = {"application/json": {"schema": _whole(path)}}
    if path in _BODIES and path != "/v1/embeddings":
        kinds["text/event-stream"] = {"schema": _TEXT}
    elif path not in _REPLIES:
        kinds |= {"text/plain": {}, "text/html": {}, "text/css": {}, "text/javascript": {}, "image/svg+xml": {}}
    error: dict[str, Any] = {"application/json": {"schema": {"anyOf": [_OPENAI_ERROR, _ANTHROPIC_ERROR]}}}
    if path not in _REPLIES:  # a page, or a word for a probe
        error = {"application/json": {"schema": _TABLE}, "text/plain": {}, "text/html": {}}
    failures = {status: {"description": "There is no answer.", "content": error} for status in _FAILURES}
    made: dict[str, Any] = {
        "operationId": f"{method.lower()}{path.replace('/', '_')}",
        "responses": {"200": {"description": "The answer.", "content": kinds}, **failures},
    }
    if method == "POST" and path in _BODIES:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _BODIES[path]}}}
    return made


def _whole(path: str) -> Schema:
    needed = _REPLIES.get(path)
    return {"type": "object", "required": list(needed)} if needed else {}
