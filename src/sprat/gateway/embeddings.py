"""OpenAI's embeddings: by the encoders of serve.toml, or an upstream's, whose bytes pass."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any, cast

from ..core import Reply, Request, Usage
from ..prices import cost
from .app import Call, Gateway, log
from .asgi import JSON, Gone, Headers, Watch, fresh, read, read_body, respond
from .ledger.exchange import Exchange
from .served import hold_of, passes, secrets_of
from .upstreams.passthrough import posted, whole
from .wire.asked import overrides, text_of
from .wire.problem import UNTOLD, Problem, dumped, problem_of
from .wire.struck import struck

_MOST = 2048


async def embeddings(gateway: Gateway, call: Call) -> None:
    """Answer one request; whatever happens, the client and the ledger are told."""
    gateway.admit(call)
    trace = gateway.traced(call)
    gateway.working += 1
    number, name, problem = fresh(), "", None
    reply = Reply(None, cost=0.0)
    watch, stored = Watch(call.receive), None

    def exchange() -> Exchange:
        usage = reply.usage or Usage()
        # Once an upstream was asked, what it took is unknown until it has said so; an encoder of ours takes nothing.
        sent = call.hold is not None and name not in gateway.served.encoders
        dollars = (call.paid if call.unsent else None) if sent and not reply.model else reply.cost
        return Exchange(
            number,
            call.at,
            "embeddings",
            getattr(call.key, "id", ""),
            name[:200],
            reply.model,
            input_tokens=usage.input_tokens,
            output_tokens=0,
            cost=dollars,
            seconds=time.perf_counter() - call.began,
            status=problem.status if problem else 200,
            error=struck(problem.detail or problem.message, secrets_of(gateway.served)) if problem else "",
            at_most=call.at_most(dollars),
        )

    try:
        given = await read_body(call.headers, call.receive, gateway.served.settings.body_limit)
        body = await read(given)
        name = overrides(body).model or text_of(body, "model")
        with watch:
            data, reply = await _embedded(gateway, call, name, body)
            shown: Headers = [
                JSON,
                (b"x-sprat-id", number.encode()),
                (b"x-sprat-model", name.encode("ascii", "replace")),
            ]
            if reply.cost is not None:
                shown.append((b"x-sprat-cost", f"{reply.cost:.9g}".encode()))
            if gateway.durable:
                stored = exchange()
                await gateway.committed(call, stored)
            await respond(call.send, 200, data, shown)
    except asyncio.CancelledError:
        problem = Problem(499, "The client left.")
        task = asyncio.current_task()
        if not watch.gone or task is None:
            raise
        task.uncancel()
    except Gone:
        problem = Problem(499, "The client left.")
    except Exception as error:
        problem = problem_of(error)
        call.failed(error)
        if problem.code in UNTOLD:
            log.error("Request %s failed: %s", number, type(error).__name__, exc_info=error)
        await gateway.complain(call, problem)
    finally:
        gateway.working -= 1
        done = stored or exchange()
        if trace is not None and gateway.tracing is not None:
            asked = [reply] if reply.model else []
            gateway.tracing.end(trace, done, asked, gateway.served.models.get(name, ()), "", False)
        if stored is None:
            gateway.finished(call, done)


async def _embedded(gateway: Gateway, call: Call, name: str, body: dict[str, Any]) -> tuple[bytes, Reply]:
    served = gateway.served
    encoder = served.encoders.get(name)
    if encoder is None:
        model = served.models.get(name)
        if not passes(model):
            known = ", ".join(served.encoders) or "none; name some under [encoders] in serve.toml"
            raise Problem(
                404, f"'{name}' gives no embeddings. Encoders: {known}.", param="model", code="model_not_found"
            )
        gateway.allow(call, name, lambda: hold_of(model, Request((body,)), 1, longest=0))
        sent = {k: v for k, v in body.items() if k != "sprat"}
        data, reply = await whole(posted(model, "embeddings", sent), model)
        usage = reply.usage and Usage(reply.usage.input_tokens, 0)
        return data, Reply(None, name, usage=usage, cost=cost(model.price, usage))
    texts = _texts(body.get("input"))
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise Problem(400, "'encoding_format' takes 'float' or 'base64'.", param="encoding_format")
    if body.get("dimensions") not in (None, encoder.dim):
        raise Problem(400, f"'{name}' gives {encoder.dim} dimensions.", param="dimensions")
    gateway.allow(call, name, lambda: hold_of((), Request((body,)), 1))
    data = await asyncio.to_thread(_encoded, encoder, texts, name, form == "base64")
    return data, Reply(None, name, cost=0.0)


def _encoded(encoder: Any, texts: list[str], name: str, packed: bool) -> bytes:
    """The body of the answer; made off the event loop, which two thousand rows would hold up."""
    rows = encoder.encode(texts)
    shown = [base64.b64encode(r.astype("<f4").tobytes()).decode() if packed else r.tolist() for r in rows]
    listed = [{"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(shown)]
    # The encoder counts no tokens, and the protocol has no word for unknown.
    counted = {"prompt_tokens": 0, "total_tokens": 0}
    return dumped({"object": "list", "data": listed, "model": name, "usage": counted})


def _texts(given: Any) -> list[str]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not 1 <= len(cast("list[Any]", listed)) <= _MOST:
        raise Problem(400, f"'input' takes a string or a list of 1 to {_MOST} strings.", param="input")
    if not all(isinstance(t, str) and t for t in cast("list[Any]", listed)):
        raise Problem(400, "'input' holds something that is no text.", param="input")
    return cast("list[str]", listed)
