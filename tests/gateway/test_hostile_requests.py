"""A few hundred of the fuzzer's cases (benchmarks/gateway_fuzz.py sends 50,000): no 500, no hang, the right dialect."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hostile_requests import Case, Cases
from running import SORT, Running
from verdicts import answers, wrong

import sprat
from mock_server import MockServer
from sprat.encoders import StaticEncoder
from sprat.gateway.served import of

SECRET = "sk-planted-upstream-key"
EACH = 60


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with MockServer(key=SECRET) as up:
        told: dict[str, Any] = {"key": lambda: SECRET, "retries": 0, "timeout": 5.0}
        far = sprat.openai("far", up.url, "mock", **told)
        served = of(sprat.cascade(sprat.tiny("sprat"), far, trust=sprat.signals.random(), at_least=0.5))
        claude = sprat.anthropic("claude", up.url, "mock", **told)
        served = replace(served, models={**served.models, "claude": claude}, encoders={"static": StaticEncoder()})
        with Running(served) as made:
            yield made


def sent(gateway: Running, case: Case) -> bytes:
    """What is answered until the connection is closed or, where one answer is due, that is there."""
    said = b""
    with socket.create_connection(("127.0.0.1", gateway.at), timeout=5) as client:
        try:
            client.sendall(case.data)
            if not case.whole:
                client.shutdown(socket.SHUT_WR)
            while part := client.recv(1 << 16):
                said += part
                if case.whole and _complete(case, said):
                    break
        except TimeoutError:
            raise
        except OSError:
            pass  # closed while the client was still writing
    return said


def _complete(case: Case, said: bytes) -> bool:
    try:
        found = answers(said, head_only=case.data.startswith(b"HEAD "))
    except (ValueError, KeyError):
        return False
    return bool(found) and not found[0].cut


@pytest.mark.parametrize("kind", ["body", "bytes", "route", "headers", "framing"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the mock's, of odd bodies
def test_no_case_is_a_fault_of_the_gateways(gateway: Running, kind: str) -> None:
    cases = Cases(11, SECRET[:8])
    cases.kinds = {kind: 1}
    failures: list[str] = []
    for number in range(EACH):
        case = cases.case(number)
        try:
            found = answers(sent(gateway, case), head_only=case.data.startswith(b"HEAD "))
        except (TimeoutError, ValueError, KeyError) as error:
            failures.append(f"{number}: {type(error).__name__} {error}")
            continue
        if case.whole and not found:
            failures.append(f"{number}: closed without an answer")
        # Who says that they send no more before they have read is taken to have left.
        read = [a for a in found if case.whole or not a.cut]
        path = case.path if case.whole else ""
        failures += [f"{number}: {why}" for a in read if (why := wrong(path, a, [SECRET.encode()], theirs=True))]
    assert failures == []


def test_after_all_that_a_request_is_answered_and_nothing_is_left_over(gateway: Running) -> None:
    assert gateway.post("/v1/chat/completions", {"model": "sprat", "messages": SORT})[0] == 200
    end = time.monotonic() + 5
    while gateway.app.working and time.monotonic() < end:
        time.sleep(0.01)
    assert gateway.app.working == 0
    assert SECRET not in str(gateway.kept)
