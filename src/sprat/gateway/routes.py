"""Which address is answered by what."""

from __future__ import annotations

from collections.abc import Mapping

from .app import Call, Gateway, Handler, decision, healthz, metrics, models, readyz
from .talk import Talk
from .wire.asked import Dialect
from .wire.chat import Chat


def _talk(dialect: Dialect) -> Mapping[str, Handler]:
    async def handler(gateway: Gateway, call: Call) -> None:
        await Talk(gateway, call, dialect).run()

    return {"POST": handler}


# An address that ends in a slash stands for everything one level below it.
ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "/v1/chat/completions": _talk(Chat()),
    "/v1/models": {"GET": models},
    "/v1/models/": {"GET": models},
    "/sprat/decisions/": {"GET": decision},
    "/healthz": {"GET": healthz},
    "/readyz": {"GET": readyz},
    "/metrics": {"GET": metrics},
}
