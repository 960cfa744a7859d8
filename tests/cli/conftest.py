"""A mock server of both protocols for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mock_server import MockServer


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made
