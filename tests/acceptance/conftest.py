"""What the acceptance tests ask for by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """Twenty people, a plain letter, the embedded mailbox."""
    stand = Stand(tmp_path)
    yield stand
    await stand.leave()


@pytest.fixture
async def shelf(stand: Stand) -> AsyncIterator[Shelf]:
    """A relay that behaves until told otherwise; the stand's campaign goes through it."""
    async with Shelf() as shelf:
        stand.set(delivery__relay=shelf.url)
        yield shelf
        await stand.leave()
