"""The recipients that earlier runs of an edition have served, as keys to compare a new run's rows with.

A key makes a letter one of a kind. Its definition may change between two runs (`audience.key`,
`audience.provider_rules`, `audience.split_addresses`), so earlier recipients are identified by the key they had and by
the one they would have now. Of a split list, one served address stands for its whole key once it is no longer split.
Forgotten recipients are identified by keyed digests of these keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice

from campaign.audience.columns.template_names import column_of
from campaign.audience.plan.forgotten_rows import is_forgotten, seals_in
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.screen_rows import KeySet, digest, key_of
from campaign.audience.screening.served_keys import ServedKeys
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError
from campaign.ledger.state.run_state import RunState
from campaign.model import Recipient, Verdict
from campaign.pipeline.collect.sent_runs import earlier_secrets
from campaign.pipeline.command_context import Job
from campaign.pipeline.start.past_runs import served

#: Verdicts that `retry` serves again.
FAILED = (Verdict.REJECTED, Verdict.UNRENDERABLE, Verdict.CANCELLED, Verdict.EXPIRED)
#: Verdicts after which only `retry`, `resolve` or `--again` may mail this recipient again.
CLOSED = (*FAILED, Verdict.ACCEPTED, Verdict.WITHDRAWN, Verdict.IN_DOUBT)
BATCH = 10_000


def screens(job: Job, generation: int, *, retry: bool) -> tuple[KeySet, Callable[[str], bool] | None]:
    """The keys that a new run leaves out, and for ``retry`` which keys it serves alone. Raises ConfigError."""
    audience = job.settings.audience
    if not retry:
        return keys_with(served(job, generation), CLOSED, audience, job.secret), None
    failed = keys_with(served(job, generation), FAILED, audience, job.secret)
    kept = tuple(verdict for verdict in CLOSED if verdict not in FAILED)
    left_out = keys_with(served(job, generation), kept, audience, job.secret)
    return left_out, lambda key: failed.contains([digest(key)])[0]


def keys_with(
    runs: Iterable[tuple[RunState, Plan]], verdicts: tuple[Verdict, ...], audience: AudienceSection, secret: bytes = b""
) -> KeySet:
    """The keys of all recipients that have one of these verdicts in one of these runs; 16 octets each.

    ``secret`` is the campaign's, to recognise forgotten recipients.
    """
    keys = ServedKeys(earlier_secrets(secret))
    for history, plan in runs:
        wanted = bytearray(plan.size)
        # One in doubt whose second sending was deferred may have the first letter: for other runs it is still in doubt.
        doubtful = history.digests if Verdict.IN_DOUBT in verdicts else ()
        for number in chain(history.numbers(*verdicts), doubtful):
            wanted[number] = 1
        found = plan.recipients(lambda number, wanted=wanted: bool(wanted[number]))  # type: ignore[misc] # bound early
        while some := list(islice(found, BATCH)):
            people = [one for one in some if not is_forgotten(one)]
            known = {name for one in people for name in (one.key, _key_now(one, plan, audience))}
            keys.add([digest(key) for key in known])
            keys.add_seals(seal for one in some if is_forgotten(one) for seal in seals_in(one.key))
    return keys


def _key_now(recipient: Recipient, plan: Plan, audience: AudienceSection) -> str:
    """The key that this recipient of an earlier run would have under the present settings."""
    column = column_of(audience.key, plan.columns) if audience.key else None
    if audience.key and column is None:
        raise ConfigError(
            f"Earlier runs of this edition had no column {audience.key!r}, so nobody can tell who has been served.",
            evidence=f"audience.key = {audience.key!r}; columns in {plan.path}: {', '.join(plan.columns)}",
            next_step="leave audience.key as it was, give the campaign another edition, or serve all again: --again",
        )
    return key_of(recipient.address, recipient.row.get(column or ""), audience)
