"""The payments' periodic jobs: resume stalled payments, handle waiting notices, list events that no webhook brought."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from shared.kernel.clock import DAY, MINUTE, Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.payments.inbox import Inbox
from shared.payments.ports import PaymentProvider, ProviderName
from shared.payments.store import Payments
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.notices import PaymentInbox
from shared.sagas.payments.settlement import Settlement

LISTING_EVERY: Millis = 5 * MINUTE
LISTING_OVERLAP: Millis = 15 * MINUTE
"""Overlap of two listings, since a provider may list an event a little after the event's time."""
LISTING_FIRST: Millis = DAY


class PaymentJobs:
    """The periodic work for payments."""

    def __init__(
        self,
        payments: Payments,
        settlement: Settlement,
        inbox: Inbox,
        handler: PaymentInbox,
        providers: Callable[[], Mapping[ProviderName, PaymentProvider]],
        clock: Clock,
    ) -> None:
        self._payments = payments
        self._settlement = settlement
        self._inbox = inbox
        self._handler = handler
        self._providers = providers
        self._clock = clock

    def resume(self, run: JobRun) -> None:
        """Settle payments whose worker died or whose provider is to be asked again."""
        due = partial(self._payments.due, self._clock.now())
        attempt_due(run, "payments", [due], lambda payment, _: self._settlement.settle(payment.id, patience=0))

    def notices(self, run: JobRun) -> None:
        """Handle stored notices whose trigger was lost or has failed."""
        attempt_due(run, "notices", [self._inbox.due], lambda notice, _: self._handler.handle(notice.id))

    def listing(self, run: JobRun) -> None:
        """List each provider's events since the last listing, every few minutes. Known events are recognised by id.

        Each provider is listed for itself, so that a provider that is down hides no events of the others.
        """
        now, providers = self._clock.now(), self._providers()
        listed = _times_in(run.cursor, providers)
        for name, provider in providers.items():
            last = listed.get(name, 0)
            if now - last < LISTING_EVERY:
                continue
            since = last - LISTING_OVERLAP if last else now - LISTING_FIRST
            if self._list(provider, since, run):
                listed[name] = now
        run.cursor = ",".join(f"{name}:{at}" for name, at in sorted(listed.items()))

    def _list(self, provider: PaymentProvider, since: Millis, run: JobRun) -> bool:
        """List a provider's events. Return True if all were listed; the rest is listed next time."""
        cursor: str | None = None
        try:
            while not run.is_over():
                page = provider.notices(since, cursor)
                for notice in page.items:
                    if self._inbox.store(notice):
                        log("notice_was_missed", "WARNING", provider=notice.provider, event_id=notice.id)
                        run.attempt("provider_events", f"{notice.provider}:{notice.id}", self._handle_one)
                cursor = page.cursor
                if cursor is None:
                    return True
        except DomainError as error:
            log("provider_events_not_listed", "ERROR", provider=provider.name, code=error.code)
        return False

    def _handle_one(self, notice: str, _: Deadline) -> None:
        self._handler.handle(notice)


def _times_in(cursor: str, providers: Iterable[ProviderName]) -> dict[str, Millis]:
    """Return when each provider was last listed to the end. An old cursor is one time for all providers."""
    if cursor.isdigit():
        return dict.fromkeys(providers, int(cursor))
    return {name: int(at) for name, _, at in (part.partition(":") for part in cursor.split(",") if part)}
