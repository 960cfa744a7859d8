"""The gateway's own document: it names every route, and what it says of bodies is what the dialects do."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hostile_requests import BODIES
from running import Running

import sprat
from sprat.encoders import StaticEncoder
from sprat.gateway.served import of

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(replace(of(sprat.tiny("sprat")), encoders={"static": StaticEncoder()})) as made:
        yield made


@pytest.fixture(scope="module")
def found(gateway: Running) -> Any:
    return gateway.get("/openapi.json")[2]


def test_every_route_and_method_is_in_it(gateway: Running, found: Any) -> None:
    told = {p.replace("{name}", ""): {m.upper() for m in o if m != "parameters"} for p, o in found["paths"].items()}
    assert told == {path: set(methods) for path, methods in gateway.app.routes.items()}


def test_it_says_nothing_of_what_is_served(found: Any) -> None:
    assert "tiny" not in str(found)


def test_no_operation_may_end_in_500(found: Any) -> None:
    operations = [o for item in found["paths"].values() for k, o in item.items() if k != "parameters"]
    assert all("500" not in o["responses"] and "default" not in o["responses"] for o in operations)


@pytest.mark.parametrize(("path", "body"), [(p, b) for p, bodies in BODIES.items() for b in bodies])
def test_what_the_clients_send_is_described(found: Any, path: str, body: dict[str, Any]) -> None:
    schema = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate({"model": "auto", **body}, schema)


@pytest.mark.parametrize("path", list(BODIES))
def test_what_it_forbids_is_refused(gateway: Running, found: Any, path: str) -> None:
    schema = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    model = "static" if path.endswith("embeddings") else "auto"
    for name in schema["properties"]:
        body = {"model": model, **copy.deepcopy(BODIES[path][0]), name: ["no such kind"]}
        if not jsonschema.Draft202012Validator(schema).is_valid(body):
            assert gateway.post(path, body)[0] == 400, name
