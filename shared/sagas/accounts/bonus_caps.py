"""Caps of the welcome bonus per registered domain, since a domain's owner can create any number of addresses there.

`bonus_domains/{mark}` counts a domain's bonuses. The mark is keyed, as many domains are a person's name. The count
changes in the commit that creates the claims, so that no two claims are counted as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from shared.kernel.clock import DAY, Clock, Millis, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put
from shared.kernel.errors import Rejected
from shared.users.mail_providers import provider_at
from shared.users.mailbox import domain_of, marks
from shared.users.ports import DomainLists

DOMAIN_BONUSES_A_DAY = 10
"""Most bonuses for the addresses of one domain on one day (UTC)."""
DOMAIN_BONUSES_UNPAID = 30
"""Most bonuses for the addresses of one domain in all, until one of its users has paid."""
WRITE_ATTEMPTS_MAX = 5


class BonusCapReached(Rejected):
    """The domain of the address has received its bonuses. Nothing is claimed, and a later request may succeed.

    `reason` is `day`, or `unpaid` until a user of the domain has paid; `retry_after_ms` is the time until the next day.
    """

    code = "bonus_cap_reached"

    def __init__(self, reason: str, domain: str, retry_at: Millis, retry_after_ms: int) -> None:
        at = to_datetime(retry_at).strftime("%Y-%m-%dT%H:%M:%SZ")
        once_paid = " once a user of this domain has bought credits" if reason == "unpaid" else ""
        super().__init__(
            f"The welcome bonuses for addresses at {domain} are used up. Try again after {at}{once_paid}.",
            reason=reason,
            retry_at=at,
            retry_after_ms=retry_after_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainCount:
    """Bonuses of one domain: `today` on `day` (UTC, `2026-11-30`), `total` in all.

    `paid_at` is None until a user has paid.
    """

    day: str = ""
    today: int = 0
    total: int = 0
    paid_at: datetime | None = None

    def on(self, day: str) -> int:
        """Return the number of bonuses on that day."""
        return self.today if self.day == day else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CappedDomain:
    """A domain with caps, and the paths of its count: the first path is written, the others are only read."""

    name: str
    paths: tuple[str, ...]


class BonusCaps:
    """Counts of welcome bonuses per registered mail domain, with caps on the counts."""

    def __init__(
        self,
        documents: Documents,
        lists: DomainLists,
        clock: Clock,
        keys: Sequence[bytes],
        uncapped: frozenset[str] = frozenset(),
    ) -> None:
        self._documents = documents
        self._lists = lists
        self._clock = clock
        self._keys = keys
        self._uncapped = uncapped

    def is_disposable(self, email: str) -> bool:
        """Return True if the address belongs to a provider of throw-away addresses."""
        domain = domain_of(email)
        return provider_at(domain) is None and self._lists.is_disposable(domain)

    def domain(self, email: str) -> CappedDomain | None:
        """Return the domain that caps apply to.

        None for the domain of a public provider, and for a domain that the settings exempt.
        """
        domain = domain_of(email)
        registered = self._lists.registrable(domain)
        if not domain or self._uncapped & {domain} or provider_at(domain) or provider_at(registered):
            return None
        paths = tuple(f"bonus_domains/{mark}" for mark in marks(self._keys, f"domain:{registered}"))
        return CappedDomain(name=registered, paths=paths)

    def one_more(self, domain: CappedDomain, found: Sequence[Document | None]) -> Create | Put:
        """Return the write that counts another bonus. `found` are the documents at the domain's paths.

        Raises BonusCapReached.
        """
        now, count = self._clock.now(), counted(found)
        day = to_datetime(now).date().isoformat()
        tomorrow = now - now % DAY + DAY
        if count.on(day) >= DOMAIN_BONUSES_A_DAY:
            raise BonusCapReached("day", domain.name, tomorrow, tomorrow - now)
        if count.total >= DOMAIN_BONUSES_UNPAID and count.paid_at is None:
            raise BonusCapReached("unpaid", domain.name, tomorrow, tomorrow - now)
        more = DomainCount(day=day, today=count.on(day) + 1, total=count.total + 1, paid_at=count.paid_at)
        return _written(domain, found[0], more)

    def has_paid(self, email: str) -> bool:
        """Return True if it is recorded that a user of the address's domain has paid, or no cap applies."""
        domain = self.domain(email)
        return domain is None or counted(self._documents.get_all(domain.paths)).paid_at is not None

    def paid(self, email: str) -> None:
        """Record that a user with this address has paid. A repeated call changes nothing. Raises PreconditionFailed."""
        domain = self.domain(email)
        if domain is None:
            return
        for _ in range(WRITE_ATTEMPTS_MAX):
            found = self._documents.get_all(domain.paths)
            count = counted(found)
            if count.paid_at is not None:
                return
            paid = DomainCount(
                day=count.day, today=count.today, total=count.total, paid_at=to_datetime(self._clock.now())
            )
            try:
                self._documents.commit([_written(domain, found[0], paid)])
                return
            except PreconditionFailed:
                continue
        raise PreconditionFailed


def counted(found: Sequence[Document | None]) -> DomainCount:
    """Return a domain's count from the documents under the domain's marks.

    A later mark's count contains the earlier ones.
    """
    counts = [_count(document.data) for document in found if document is not None]
    last = max(counts, key=lambda count: (count.total, count.day), default=DomainCount())
    paid = next((count.paid_at for count in counts if count.paid_at is not None), None)
    return DomainCount(day=last.day, today=last.today, total=last.total, paid_at=paid)


def _count(data: Data) -> DomainCount:
    stored = cast("Mapping[str, int]", data)
    paid_at = data.get("paid_at")
    return DomainCount(
        day=str(data["day"]),
        today=stored["today"],
        total=stored["total"],
        paid_at=paid_at if isinstance(paid_at, datetime) else None,
    )


def _written(domain: CappedDomain, document: Document | None, count: DomainCount) -> Create | Put:
    data: Data = {
        "day": count.day,
        "today": count.today,
        "total": count.total,
        "paid_at": count.paid_at,
    }
    return Create(domain.paths[0], data) if document is None else Put(domain.paths[0], data, document.version)
