"""Usage by day as the journal gives it, during an audit: the sums of the last day, and a digest of each day before.

The digests are pages that only grow, so that any past day is compared by one read, without its entries. Of the last
day the sums stand in the position of the audit.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.documents import Document, Documents, Query
from shared.kernel.ids import Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import account_path
from shared.ledger.analytics import day_in, day_rows
from shared.ledger.audit_pages import AppendedPages
from shared.ledger.errors import UNREADABLE
from shared.ledger.positions import JournalPosition
from shared.ledger.usage import Day, UsageFold, Use, folded

DATE_CHARACTERS, DIGEST_CHARACTERS = 10, 32
LINE_BYTES = DATE_CHARACTERS + DIGEST_CHARACTERS
DAYS_AT_ONCE = 31
"""Past days that are compared in a turn, beside those that are new to the audit."""


class UsageAudit:
    """Usage of one account up to the last audited entry: `usage` has the sums of the last day alone."""

    def __init__(self, usage: UsageFold, digests: AppendedPages) -> None:
        self.usage = usage
        self.digests = digests

    def follow(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Add the next entries. Raises PositionUnusable, and errors of UNREADABLE for an entry that has no usage."""
        after = folded(self.usage, bodies)
        *past, last = sorted(after.days) or [""]
        self.digests.append("".join(f"{date}{digest_of(after.days[date])}" for date in past).encode())
        self.usage = replace(after, days={last: after.days[last]} if last else {})

    def past_days(self) -> list[tuple[str, str]]:
        """Return each day before the last with the digest of its usage, oldest first. Raises PositionUnusable."""
        text = b"".join(self.digests.read()).decode()
        lines = [text[first : first + LINE_BYTES] for first in range(0, len(text), LINE_BYTES)]
        return [(line[:DATE_CHARACTERS], line[DATE_CHARACTERS:]) for line in lines]

    def differing(self, documents: Documents, uid: Uid, relay: JournalPosition, sampled: int) -> tuple[list[str], int]:
        """Return the dates whose stored usage is another than the journal's, and the place of the next sample.

        `relay` is the position up to which the days are added up. Days that are not complete there are left out.
        Raises PositionUnusable.
        """
        if relay.is_clearing or relay.usage.seq < self.usage.seq:
            return [], sampled
        days = self.past_days()
        first = sampled if sampled < len(days) else 0
        part = dict(days[first : first + DAYS_AT_ONCE])
        last = dict.fromkeys(self.usage.days, "")
        is_end, is_equal = first + DAYS_AT_ONCE >= len(days), relay.usage.seq == self.usage.seq
        if is_end and is_equal:
            part |= {date: digest_of(day) for date, day in self.usage.days.items()}
        until = max(part, default="") if not (is_end and is_equal) else None
        found = _days_between(documents, uid, min(part) if first else None, until) if part else []
        told = [each for each in found if is_equal or each.id not in last]
        return _differing(part, told), 0 if is_end else first + DAYS_AT_ONCE


def digest_of(day: Day) -> str:
    """Return a digest of the usage of a day, which depends on no order."""
    rows, moved = day_rows(day)
    return hashlib.sha256(canonical({"uses": sorted(rows, key=str), "moved": moved})).hexdigest()[:DIGEST_CHARACTERS]


def usage_text(usage: UsageFold) -> str:
    """Return the usage in the form of an audit's position."""
    days: dict[str, Json] = {}
    for date, day in usage.days.items():
        rows, moved = day_rows(day)
        days[date] = {"uses": rows, "moved": moved}
    opened: Json = {hold: list(use) for hold, use in usage.open.items()}
    return canonical({"seq": usage.seq, "open": opened, "days": days}).decode()


def usage_in(text: str) -> UsageFold:
    """Return the usage that `usage_text` has written. Raises NotCanonical, KeyError or TypeError for other texts."""
    told: Any = parse_canonical(text)
    days = {date: day_in(canonical(day).decode()) for date, day in told["days"].items()}
    return UsageFold(seq=told["seq"], open={hold: Use(*use) for hold, use in told["open"].items()}, days=days)


def _days_between(documents: Documents, uid: Uid, first: str | None, last: str | None) -> list[Document]:
    query = Query(collection=f"{account_path(uid)}/usage", limit=DAYS_AT_ONCE + 2, id_from=first, id_to=last)
    return documents.query(query)


def _differing(expected: Mapping[str, str], found: Iterable[Document]) -> list[str]:
    """Return the dates whose stored usage is missing, another, or of no journal."""
    told = {document.id: _stored_digest(document) for document in found}
    return sorted(date for date in expected.keys() | told.keys() if expected.get(date) != told.get(date))


def _stored_digest(document: Document) -> str | None:
    try:
        uid = document.path.split("/")[1]
        is_ours = set(document.data) == {"uid", "state"} and document.data["uid"] == uid
        return digest_of(day_in(document.data["state"])) if is_ours else None
    except (*UNREADABLE, SchemaUnknown):
        return None
