"""What came back, shared over a campaign's store; for a campaign on files nothing is done here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from campaign.errors import UnfinishedError
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.pipeline.command_context import Job
from campaign.pipeline.workers.campaign_store import store_of

if TYPE_CHECKING:  # loaded only by who has a store
    from campaign.ledger.postgres.feedback_exchange import FeedbackExchange


class SharedFeedbackStore(FeedbackStore):
    """The events of a ledger in a store: what is synced is in the store, too."""

    def __init__(self, job: Job, exchange: FeedbackExchange) -> None:
        super().__init__(job.directory)
        self._exchange = exchange

    def sync(self) -> None:
        """Sync, and exchange with the store. Raises StorageError, UnfinishedError."""
        super().sync()
        self._exchange.exchange()
        if self._exchange.behind:
            raise UnfinishedError(
                "Somebody was forgotten on another machine a moment ago, so nothing is added to the store yet.",
                evidence=str(self.path),
                next_step="run the same command again; it erases this machine's copies first",
            )


@contextmanager
def event_store(job: Job) -> Iterator[FeedbackStore]:
    """The events of the job's ledger, open for adding. With a store, those of all machines, from now on."""
    with ExitStack() as stack:
        store = FeedbackStore(job.directory)
        if job.settings.ledger.store:
            exchange = stack.enter_context(exchange_of(job))
            exchange.exchange()
            store = SharedFeedbackStore(job, exchange)
        yield stack.enter_context(store)


@contextmanager
def feedback_shared(job: Job) -> Iterator[None]:
    """A block that finds what came back on all machines, and whose additions all machines get."""
    share_feedback(job)
    yield
    share_feedback(job)


def share_feedback(job: Job) -> None:
    """Exchange events with the store once, after erasing whoever was forgotten on another machine."""
    if job.settings.ledger.store:
        from campaign.pipeline.workers.forgotten.erase_copies import erase_forgotten
        from campaign.system.postgres import store_errors

        with exchange_of(job) as exchange:
            with store_errors(store_of(job.settings)):
                erase_forgotten(job, exchange.connected())
            exchange.exchange()


@contextmanager
def collecting_alone(job: Job, patience: float) -> Iterator[None]:
    """A block in which no other machine collects into the store. Raises UnfinishedError if one does."""
    if not job.settings.ledger.store:
        yield
        return
    address = store_of(job.settings)
    from campaign.ledger.postgres.feedback_exchange import one_collect

    with one_collect(address, patience=patience):
        yield


def exchange_of(job: Job) -> FeedbackExchange:
    """The exchange between the job's ledger and its store. Raises ConfigError."""
    address = store_of(job.settings)
    from campaign.ledger.postgres.feedback_exchange import FeedbackExchange

    return FeedbackExchange(address, job.directory)
