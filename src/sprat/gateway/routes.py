"""Which address is answered by what."""

from __future__ import annotations

from collections.abc import Mapping

from .about import decision, healthz, metrics, models, promise, readyz
from .app import Call, Gateway, Handler
from .asgi import respond
from .dashboard.addresses import dashboard
from .embeddings import embeddings
from .steering.controllers import budgets
from .talk import Talk
from .wire.asked import Dialect
from .wire.chat import Chat
from .wire.completions import Completions
from .wire.messages import Messages
from .wire.openapi import document
from .wire.problem import dumped
from .wire.responses import Responses


def _talk(dialect: Dialect) -> Mapping[str, Handler]:
    async def handler(gateway: Gateway, call: Call) -> None:
        await Talk(gateway, call, dialect).run()

    return {"POST": handler}


async def _described(gateway: Gateway, call: Call) -> None:
    """What may be asked here, for tools; it holds no model's name."""
    await respond(call.send, 200, dumped(document(gateway.routes)))


# An address that ends in a slash stands for everything below it.
ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "/v1/chat/completions": _talk(Chat()),
    "/v1/completions": _talk(Completions()),
    "/v1/responses": _talk(Responses()),
    "/v1/messages": _talk(Messages()),
    "/v1/embeddings": {"POST": embeddings},
    "/v1/models": {"GET": models},
    "/v1/models/": {"GET": models},
    "/sprat/promise": {"GET": promise},
    "/sprat/decisions/": {"GET": decision},
    "/sprat": {"GET": dashboard},
    "/sprat/": {"GET": dashboard, "POST": dashboard},
    "/sprat/budgets": {"GET": budgets},
    "/healthz": {"GET": healthz},
    "/readyz": {"GET": readyz},
    "/metrics": {"GET": metrics},
    "/openapi.json": {"GET": _described},
}
