"""The listing of providers' events, for notices that no webhook brought: page by page, several periods side by side.

A page costs one read of all the page's events, and one commit if some of them are new. After each round of pages the
progress is stored, so that a listing that is stopped or killed continues at the next pages. A page listed twice has no
effect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.kernel.clock import Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Document, Documents, Patch, PreconditionFailed
from shared.kernel.errors import DomainError, Rejected
from shared.kernel.events import log, log_error
from shared.payments.inbox import Inbox
from shared.payments.listings import (
    LISTING_EVERY,
    ListedPeriod,
    ListingProgress,
    advanced,
    from_data,
    planned,
    put_off,
    to_data,
)
from shared.payments.ports import Notice, PaymentProvider, ProviderName
from shared.sagas.engine.jobs import JobRun

COLLECTION = "provider_listings"
JOB = "provider_events"
PAGES_AT_ONCE = 8
"""Pages of one provider that are listed side by side."""
HANDLED_MAX = 100
"""Most found notices that a run handles itself. All are handled by their trigger, or by the job `notices`."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A listed page of a period: the notices that were missing, and the cursor of the next page, None after the last.

    `is_refused`: the provider does not take the period's cursor, or never moves the cursor.
    """

    missing: Sequence[Notice]
    cursor: str | None
    is_refused: bool = False


@dataclass(slots=True)
class _Listing:
    """The listing of one provider in one run. `stored` is the document of the progress, None before the first."""

    provider: PaymentProvider
    stored: Document | None
    progress: ListingProgress
    failed: list[ListedPeriod] = field(default_factory=list)
    is_ended: bool = False

    @property
    def pages(self) -> tuple[ListedPeriod, ...]:
        """Return the periods whose next pages are listed now."""
        left = () if self.is_ended else self.progress.periods
        return tuple(each for each in left if each not in self.failed)[:PAGES_AT_ONCE]

    @property
    def is_unsaved(self) -> bool:
        """Return True if the progress has to be stored. The time of a listing that left nothing is the job's cursor."""
        before = _stored_progress(self.stored)
        now = self.progress
        return (before.periods, before.reviewed_at) != (now.periods, now.reviewed_at)

    def fold(self, period: ListedPeriod, page: _Page | None) -> None:
        """Note the outcome of a page. None: the page could not be listed, and is listed again in a later run."""
        if page is not None and not page.is_refused:
            self.progress = advanced(self.progress, period, page.cursor)
            return
        self.progress = put_off(self.progress, period, is_restarted=page is not None)
        self.failed.append(self.progress.periods[-1])


class HandlesNotices(Protocol):
    """Part of the handler of notices that the listing needs."""

    def handle(self, notice_id: str) -> None:
        """Handle a stored notice; see `PaymentInbox.handle`."""
        ...


class EventListing:
    """The listing of all providers' events. One worker at a time lists; another that overtakes ends the first."""

    def __init__(
        self,
        documents: Documents,
        inbox: Inbox,
        handler: HandlesNotices,
        providers: Callable[[], Mapping[ProviderName, PaymentProvider]],
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._inbox = inbox
        self._handler = handler
        self._providers = providers
        self._clock = clock

    def list_events(self, run: JobRun) -> None:
        """List each provider's events since the last listing, every few minutes, and handle the notices that were
        missing.

        All providers are listed side by side, so that a provider that is down hides no events of the others.
        """
        providers = self._providers()
        listed = _times_in(run.cursor, providers)
        listings = self._begun(providers, listed)
        missing: list[Notice] = []
        while not run.is_over() and any(each.pages for each in listings):
            missing += self._round(listings, run)[: HANDLED_MAX - len(missing)]
        ended = {each.provider.name: each.progress.listed_to for each in listings if not each.progress.unfinished}
        run.cursor = ",".join(f"{name}:{at}" for name, at in sorted((listed | ended).items()))
        self._handle(missing, run)

    def _begun(
        self, providers: Mapping[ProviderName, PaymentProvider], listed: Mapping[ProviderName, Millis]
    ) -> list[_Listing]:
        """Return the listings that are due or unfinished, each with the stored progress."""
        now = self._clock.now()
        due = [each for name, each in providers.items() if now - listed.get(name, 0) >= LISTING_EVERY]
        stored = self._documents.get_all([_path(each.name) for each in due]) if due else []
        return [
            _Listing(provider, document, planned(_progress(document, listed.get(provider.name, 0)), now))
            for provider, document in zip(due, stored, strict=True)
        ]

    def _round(self, listings: Sequence[_Listing], run: JobRun) -> list[Notice]:
        """List one page of each of the first periods, store the progress, and return the notices that were missing."""
        asked = {
            f"{each.provider.name}:{at}": (each, period) for each in listings for at, period in enumerate(each.pages)
        }
        pages: dict[str, _Page] = {}

        def list_page(item: str, _deadline: Deadline) -> None:
            listing, period = asked[item]
            if (page := self._page(listing.provider, period)) is not None:
                pages[item] = page

        begun = run.attempt_all(JOB, list(asked), list_page, at_once=len(asked))
        for item, (listing, period) in list(asked.items())[:begun]:
            listing.fold(period, pages.get(item))
        for listing in {id(each): each for each, _ in asked.values()}.values():
            self._save(listing, is_moved=any(asked[item][0] is listing for item in pages))
        return [notice for page in pages.values() for notice in page.missing]

    def _page(self, provider: PaymentProvider, period: ListedPeriod) -> _Page | None:
        """List the next page of a period, and store the notices that are missing.

        None if the provider does not answer, which is logged.
        """
        try:
            page = provider.notices(period.first, period.cursor, period.until)
        except DomainError as error:
            log("provider_events_not_listed", "ERROR", provider=provider.name, code=error.code)
            if isinstance(error, Rejected) and period.cursor is not None:
                return _Page((), None, is_refused=True)
            return None
        if page.cursor is not None and page.cursor == period.cursor:
            log("provider_events_not_listed", "ERROR", provider=provider.name, code="cursor_unmoved")
            return _Page((), None, is_refused=True)
        missing = self._inbox.store_missing(page.items)
        for notice in missing:
            log("notice_was_missed", "WARNING", provider=notice.provider, event_id=notice.id)
        return _Page(missing, page.cursor)

    def _save(self, listing: _Listing, *, is_moved: bool) -> None:
        """Store the progress of a listing. If no page could be listed, or another worker lists, end the listing.

        If no page could be listed, nothing is stored, unless the next run is to begin with other periods.
        """
        listing.is_ended = not is_moved
        if listing.is_unsaved and (is_moved or len(listing.progress.periods) > PAGES_AT_ONCE):
            path, data = _path(listing.provider.name), to_data(listing.progress)
            stored = listing.stored
            try:
                versions = self._documents.commit(
                    [Create(path, data) if stored is None else Patch(path, data, stored.version)]
                )
            except PreconditionFailed:
                listing.is_ended = True
            else:
                listing.stored = Document(path=path, data=data, version=versions[0])

    def _handle(self, missing: Sequence[Notice], run: JobRun) -> None:
        for notice in missing:
            if run.is_over():
                return
            run.attempt(JOB, f"{notice.provider}:{notice.id}", lambda item, _deadline: self._handler.handle(item))


def _path(provider: ProviderName) -> str:
    return f"{COLLECTION}/{provider}"


def _progress(document: Document | None, listed_to: Millis) -> ListingProgress:
    """Return the stored progress, listed to the time in the job's cursor if that is later."""
    stored = _stored_progress(document)
    return ListingProgress(
        listed_to=max(stored.listed_to, listed_to), reviewed_at=stored.reviewed_at, periods=stored.periods
    )


def _stored_progress(document: Document | None) -> ListingProgress:
    """Return the progress in a document. A document that nobody of us wrote counts as none, so that all is listed."""
    if document is None:
        return ListingProgress()
    try:
        return from_data(document.data)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        log_error("provider_listing_not_readable", error, path=document.path)
        return ListingProgress()


def _times_in(cursor: str, providers: Mapping[ProviderName, PaymentProvider]) -> dict[ProviderName, Millis]:
    """Return when each provider was last listed to the end. An old cursor is one time for all providers."""
    if cursor.isdigit():
        return dict.fromkeys(providers, int(cursor))
    return {name: int(at) for name, _, at in (part.partition(":") for part in cursor.split(",") if part)}
