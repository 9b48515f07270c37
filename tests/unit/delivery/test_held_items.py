"""What a worker holds: an item that was settled instead of sent does not come back into the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import Admission, RelayAccount
from campaign.delivery.queue.backlog import Backlog
from campaign.delivery.send.held_items import HeldItems
from campaign.model import Letter, Recipient

LETTER = Letter(1, "<m>", "a@example.com", "u1@b.example", b"Subject: s\r\n\r\n", bytes(32), sound=True)


def held(compose: Any, count: int = 2) -> tuple[HeldItems, Admission, RelayAccount]:
    recipients = [Recipient(n, f"u{n}@b.example", f"u{n}", "", n, {}) for n in range(count)]
    admission = Admission(Backlog(iter(recipients), 900.0), lambda: 0.0, 900.0)
    items = HeldItems(admission, compose, Any, Any, DeliverySection(), lambda: False)  # type: ignore[arg-type]
    return items, admission, RelayAccount(Throttle(()))


async def test_who_was_settled_while_the_letter_was_composed_is_not_taken_again_after_a_break() -> None:
    items, admission, account = held(lambda recipient: None if recipient.number == 0 else LETTER)
    for _ in range(2):
        items.following = None
        items.look_ahead(account)
    items.put_back_all()
    again = admission.draw_now(account)
    assert not isinstance(again, float)
    assert again is not None
    assert again.recipient.number == 1
    assert admission.draw_now(account) is None


@pytest.mark.parametrize(("result", "left"), [(None, 0), (LETTER, 1)])
async def test_the_same_holds_where_letters_are_composed_elsewhere(result: Letter | None, left: int) -> None:
    async def compose(_: Recipient) -> Letter | None:
        return result

    items, admission, account = held(compose, count=1)
    items.look_ahead(account)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    items.put_back_all()
    assert (admission.draw_now(account) is not None) == bool(left)


async def test_who_is_still_being_composed_comes_back() -> None:
    items, admission, account = held(lambda _: asyncio.get_running_loop().create_future(), count=1)
    items.look_ahead(account)
    items.put_back_all()
    assert admission.draw_now(account) is not None
