"""Who was forgotten, as the store tells its machines: numbers of planned lines and keyed digests, no address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from campaign.ledger.postgres.edition_lease import StoreConnection


class Forgetting(msgspec.Struct, frozen=True):
    """``seals`` are keyed digests of the person's key under ``provider_rules``; ``lines`` are by the run's number.

    ``suppressed``: a hash of the address goes on suppressing it.
    """

    number: int
    suppressed: bool
    provider_rules: bool
    seals: Sequence[str]
    lines: Mapping[int, Sequence[int]] = msgspec.field(default_factory=dict)


def forgettings_after(connection: StoreConnection, number: int) -> list[Forgetting]:
    """Everybody who was forgotten after that number, in order."""
    rows = connection.execute(
        "SELECT number, suppressed, provider_rules, seals FROM campaign.forgotten WHERE number > %s ORDER BY number",
        (number,),
    ).fetchall()
    return [
        Forgetting(one, suppressed, rules, seals, _lines(connection, one)) for one, suppressed, rules, seals in rows
    ]


def record_forgetting(
    connection: StoreConnection,
    suppressed: bool,
    provider_rules: bool,
    seals: Sequence[str],
    lines: Mapping[int, Sequence[int]],
) -> int:
    """Record that a person was forgotten, inside the transaction that erases them; returns the number."""
    row = connection.execute(
        "INSERT INTO campaign.forgotten (suppressed, provider_rules, seals) VALUES (%s, %s, %s) RETURNING number",
        (suppressed, provider_rules, list(seals)),
    ).fetchone()
    number = int(row[0]) if row else 0
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO campaign.forgotten_recipient (number, run, recipient) VALUES (%s, %s, %s)",
            [(number, run, one) for run, numbers in lines.items() for one in numbers],
        )
    return number


def was_forgotten(connection: StoreConnection, seals: Sequence[str]) -> bool:
    """Whether somebody with one of these digests was forgotten before."""
    return (
        connection.execute(
            "SELECT FROM campaign.forgotten WHERE seals && %s::text[] LIMIT 1", (list(seals),)
        ).fetchone()
        is not None
    )


def _lines(connection: StoreConnection, number: int) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for run, recipient in connection.execute(
        "SELECT run, recipient FROM campaign.forgotten_recipient WHERE number = %s ORDER BY run, recipient", (number,)
    ):
        found.setdefault(run, []).append(recipient)
    return found
