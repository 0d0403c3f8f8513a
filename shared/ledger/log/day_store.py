"""Documents of closed days: progress of the close, the record of each day, and the pages with all accounts.

`ledger_log/days` has the last closed day and the progress of the next close. A closed day never changes. The pages are
needed for a while only: for the next day's comparison, and for the paths in exports.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from shared.kernel.clock import DAY, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, Order, Put, Query, Version, Where, Write
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import DAY_CONTEXT, RETIRED_KEY
from shared.ledger.log.books import LedgerBooks, stored_books
from shared.ledger.log.days import (
    DayAccount,
    DayPath,
    DayRecord,
    DayTotals,
    accounts_in,
    day_path,
    day_root,
    page_data,
    page_root,
    record_in,
    statement_of,
)
from shared.ledger.log.head import HEAD_PATH, LogBroken, stored_head
from shared.ledger.log.merkle import HASH_BYTES
from shared.ledger.log.typed_leaves import queue_leaf

T = TypeVar("T")

DAYS_PATH = "ledger_log/days"
PAGES_KEPT: Millis = 40 * DAY
NUMBER_DIGITS = 6


class DayBroken(Conflict):
    """Stored data of a closed day that the ledger did not write so. An operator must act."""

    code = "closed_day_broken"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseProgress:
    """Progress of a close. `after` is the path of the last account that was read, "" before the first.

    `rest` has accounts behind the last complete page. `known_page` and `known_offset` are the place of the next account
    in the close before.
    """

    day: str
    after: str = ""
    roots: tuple[bytes, ...] = ()
    totals: DayTotals = field(default_factory=DayTotals)
    known_page: int = 0
    known_offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysState:
    """Last closed day ("" before the first), the hash of its record, and the progress of the close under way."""

    last: str = ""
    last_hash: str = ""
    progress: CloseProgress | None = None
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDay:
    """Closed day with the roots of its pages."""

    record: DayRecord
    roots: tuple[bytes, ...]


class DayStore:
    """Store of the closed days of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger

    def state(self) -> DaysState:
        """Return the last closed day and the progress. Raises DayBroken, StoreUnavailable."""
        document = self._documents.get(DAYS_PATH)
        return DaysState() if document is None else _read("the progress", lambda: _state(document))

    def closed(self, day: str) -> ClosedDay:
        """Return a closed day. Raises DayBroken unless this ledger has signed the record; UnknownKey."""
        found = self.find(day)
        if found is None:
            raise DayBroken(f"The record of {day} is missing.")
        return found

    def find(self, day: str) -> ClosedDay | None:
        """Return a closed day, None if this day was not closed. Raises DayBroken, UnknownKey."""
        document = self._documents.get(closed_path(day))
        if document is None:
            return None
        closed = _read(f"the record of {day}", lambda: _closed(document.data))
        is_named = (closed.record.ledger, closed.record.day) == (self._ledger, day)
        if not is_named or not self._is_sealed(closed.record, str(document.data.get("seal"))):
            raise DayBroken(f"The record of {day} is not signed by this ledger.")
        if day_root(closed.roots).hex() != closed.record.root:
            raise DayBroken(f"The pages of {day} do not give the root of the record.")
        return closed

    def _is_sealed(self, record: DayRecord, seal: str) -> bool:
        """Return True if a key signed the record that was not retired when the day ended. Raises UnknownKey."""
        kid, _, signature = seal.partition(":")
        if not self._keys.is_signed(DAY_CONTEXT, record.text.encode(), kid=kid, signature=signature):
            return False
        return self._keys.time_rule(kid, _end_of(record.day)) != RETIRED_KEY

    def page(self, closed: ClosedDay, number: int) -> list[DayAccount]:
        """Return the accounts of one page. Raises DayBroken unless they give the root of the page."""
        document = self._documents.get(page_path(closed.record.day, number))
        return _checked(closed, number, document)

    def path(self, uid: Uid) -> DayPath | None:
        """Return the path of an account in the last closed day; None if no closed day has the account.

        Reads four documents. Raises DayBroken, UnknownKey, StoreUnavailable.
        """
        state = self.state()
        return self.path_in(self.closed(state.last), uid) if state.last else None

    def path_in(self, closed: ClosedDay, uid: Uid) -> DayPath | None:
        """Return the path of an account in this closed day; None if the day has no such account.

        Reads one document. Raises DayBroken if the page is not as it was closed, StoreUnavailable.
        """
        query = Query(
            collection=f"{closed_path(closed.record.day)}/day_pages",
            where=(Where("first", "<=", uid),),
            order_by=(Order("first", descending=True),),
            limit=1,
        )
        found = self._documents.query(query)
        if not found:
            return None
        number = _read("the name of a page", lambda: int(found[0].id))
        page = _checked(closed, number, found[0])
        if all(each.uid != uid for each in page):
            return None
        return day_path(closed.record, page, number, closed.roots, uid)

    def progress_writes(
        self, state: DaysState, progress: CloseProgress, page: Sequence[DayAccount], now: Millis
    ) -> tuple[DaysState, list[Write]]:
        """Return the state after one more page, and the writes that store both. An empty page is not stored."""
        number = len(progress.roots)
        if page:
            totals = progress.totals.with_accounts(page)
            progress = replace(progress, roots=(*progress.roots, page_root(page)), totals=totals)
        after = replace(state, progress=progress)
        path = page_path(progress.day, number)
        pages: list[Write] = [Put(path, _page(page, now))] if page else []
        return after, [_state_write(after, state.version), *pages]

    def closing_writes(self, state: DaysState, fold: int, now: Millis) -> tuple[DayRecord, list[Write]]:
        """Return the record of the day whose accounts are all read, and the writes that close the day.

        One of the writes queues the record's statement as a leaf of the log: no sums of the ledger, since every export
        has that leaf. Raises DayBroken if the head of the log cannot be
        read.
        """
        head = self._documents.get(HEAD_PATH)
        size, books = (0, LedgerBooks()) if head is None else _read("the head of the log", lambda: _head(head.data))
        progress = state.progress
        assert progress is not None, "a day under way is closed"
        record = DayRecord(
            ledger=self._ledger,
            day=progress.day,
            root=day_root(progress.roots).hex(),
            totals=progress.totals,
            previous=state.last_hash,
            fold=fold,
            size=size,
            books=books,
        )
        statement = statement_of(record, self._keys.registry_size)
        signed, told = self._sealed("record", record.text), self._sealed("statement", statement.text)
        closed = DaysState(last=record.day, last_hash=record.hash)
        return record, [
            _state_write(closed, state.version),
            Create(closed_path(record.day), {**signed, "roots": b"".join(progress.roots)}),
            queue_leaf("day", record.day, told, now),
        ]

    def _sealed(self, name: str, text: str) -> dict[str, str]:
        kid = self._keys.kid
        return {name: text, "seal": f"{kid}:{self._keys.sign(DAY_CONTEXT, text.encode(), kid)}"}


def _end_of(day: str) -> Millis:
    """Return the first moment after a day. Raises DayBroken for a text that is no date."""
    return _read(f"the date {day}", lambda: Millis(from_datetime(_midnight(day)) + DAY))


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time.min, UTC)


def closed_path(day: str) -> str:
    """Return `ledger_log/days/closed/{day}`, the path of the record of a closed day."""
    return f"{DAYS_PATH}/closed/{day}"


def page_path(day: str, number: int) -> str:
    """Return `ledger_log/days/closed/{day}/day_pages/{number}`, the path of a page of accounts."""
    return f"{closed_path(day)}/day_pages/{number:0{NUMBER_DIGITS}d}"


def _checked(closed: ClosedDay, number: int, document: Document | None) -> list[DayAccount]:
    where = f"page {number} of {closed.record.day}"
    if document is None or not 0 <= number < len(closed.roots):
        raise DayBroken(f"The {where} is missing.")
    data = document.data.get("accounts")
    accounts = _read(where, lambda: accounts_in(data if isinstance(data, bytes) else b""))
    if page_root(accounts) != closed.roots[number]:
        raise DayBroken(f"The {where} has other accounts than the record.")
    return accounts


def _read(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ArithmeticError, AttributeError, LookupError, LogBroken, TypeError, ValueError) as error:
        raise DayBroken(f"Of the closed days, {what} cannot be read.") from error


def _page(accounts: Sequence[DayAccount], now: Millis) -> Data:
    return {
        "first": accounts[0].uid,
        "accounts": page_data(accounts),
        "delete_at": to_datetime(now + PAGES_KEPT),
    }


def _closed(data: Data) -> ClosedDay:
    return ClosedDay(record=record_in(str(data["record"])), roots=_split(data["roots"]))


def _head(data: Data) -> tuple[int, LedgerBooks]:
    return stored_head(data).size, stored_books(data.get("books"))


def _state(document: Document) -> DaysState:
    told: Any = document.data["state"]
    progress = told.get("progress")
    return DaysState(
        last=str(told["last"]),
        last_hash=str(told["last_hash"]),
        progress=None if progress is None else _progress(progress),
        version=document.version,
    )


def _progress(told: Mapping[str, Any]) -> CloseProgress:
    return CloseProgress(
        day=str(told["day"]),
        after=str(told["after"]),
        roots=_split(told["roots"]),
        totals=DayTotals(
            accounts=int(told["accounts"]),
            posted=int(told["posted"]),
            held=int(told["held"]),
            debt=int(told["debt"]),
        ),
        known_page=int(told["known_page"]),
        known_offset=int(told["known_offset"]),
    )


def _state_write(state: DaysState, version: Version | None) -> Write:
    data: Data = {
        "state": {
            "last": state.last,
            "last_hash": state.last_hash,
            "progress": None if state.progress is None else _progress_data(state.progress),
        }
    }
    return Create(DAYS_PATH, data) if version is None else Put(DAYS_PATH, data, version)


def _progress_data(progress: CloseProgress) -> Data:
    totals = progress.totals
    return {
        "day": progress.day,
        "after": progress.after,
        "roots": b"".join(progress.roots),
        "accounts": totals.accounts,
        "posted": str(totals.posted),
        "held": str(totals.held),
        "debt": str(totals.debt),
        "known_page": progress.known_page,
        "known_offset": progress.known_offset,
    }


def _split(roots: object) -> tuple[bytes, ...]:
    if not isinstance(roots, bytes) or len(roots) % HASH_BYTES:
        raise ValueError("roots are hashes one behind another")
    return tuple(roots[at : at + HASH_BYTES] for at in range(0, len(roots), HASH_BYTES))
