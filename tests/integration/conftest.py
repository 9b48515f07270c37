"""What several tests with a store need: a server of PostgreSQL for a file of tests, and a relay for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.servers.shelf import Shelf
from tests.support.servers.store_server import StoreServer, store_server


@pytest.fixture(scope="module")
def server() -> Iterator[StoreServer]:
    with store_server() as server:
        yield server


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf
