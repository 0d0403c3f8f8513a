"""Documents of the comparison with providers' listings: progress, rows, open items, and the result of each day.

`provider_books/{provider}` has the last compared day and the progress of the next comparison. Rows are needed while a
day is compared. An item stays until both sides agree.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from shared.kernel.clock import DAY, Millis, to_datetime
from shared.kernel.documents import Create, Data, Delete, Document, Documents, Patch, Put, Query, Version, Write
from shared.kernel.errors import Conflict
from shared.payments.comparison import MoneyRow, OpenItem, PaymentTally, rows_data, rows_in
from shared.payments.ports import ProviderName

COLLECTION = "provider_books"
ROWS_KEPT: Millis = 40 * DAY
ITEMS_MAX = 5_000
"""Most open items of a provider. Further ones are counted alone: that many differences have one cause."""
ITEMS_PAGE = 500
DELETES_AT_ONCE = 400
THEIRS, OURS, JOIN = "theirs", "ours", "join"


class ProviderBooksBroken(Conflict):
    """Stored data of a comparison that the backend did not write so. An operator must act."""

    code = "provider_books_broken"

    def __init__(self, path: str) -> None:
        super().__init__(f"The document {path} cannot be read.", path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneySums:
    """Sums in minor units of one currency, and the number of lines."""

    came_in: int = 0
    went_out: int = 0
    lines: int = 0

    def with_line(self, minor: int, *, is_out: bool) -> "MoneySums":
        """Return the sums with one more line."""
        came_in, went_out = (0, minor) if is_out else (minor, 0)
        return MoneySums(came_in=self.came_in + came_in, went_out=self.went_out + went_out, lines=self.lines + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDay:
    """Progress of the comparison of one day, and its result. Times in ms, credits in µcr.

    Lines of the time from `since` up to `until` are compared with the moves of the log from size `first` to `size`.
    `expected` are the credits that the books of the two closed days state. `listed` has our payments by currency,
    `elsewhere` lines that belong to none of our payments. `open` counts open items, `items` has the first ones.
    """

    day: str
    since: Millis
    until: Millis
    first: int
    size: int
    expected: int
    phase: str = THEIRS
    cursor: str | None = None
    chunks: int = 0
    rows: int = 0
    pages: int = 0
    partition: int = 0
    listed: Mapping[str, MoneySums] = field(default_factory=dict)
    elsewhere: Mapping[str, MoneySums] = field(default_factory=dict)
    unreadable: int = 0
    granted: int = 0
    taken_back: int = 0
    open: int = 0
    in_transit: int = 0
    items: tuple[Mapping[str, Any], ...] = ()
    news: tuple[str, ...] = ()
    news_count: int = 0
    previous: str = ""

    @property
    def is_empty(self) -> bool:
        """Return True if neither side has any money, so that the result need not be kept."""
        return not (self.rows or self.open or self.listed or self.elsewhere or self.unreadable) and self.is_complete

    @property
    def is_complete(self) -> bool:
        """Return True if the moves of the log give the sums of the closed books."""
        return self.granted - self.taken_back == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksState:
    """Last compared day of a provider ("" before the first), and the progress of the next comparison.

    Money before `began` (ms) is not compared. `reason` says why the next day is still open, "" if nothing holds it up.
    `alerted_at` is the time of the last alert about that. `hash` is that of the last day's result.
    """

    last: str = ""
    until: Millis = 0
    began: Millis = 0
    hash: str = ""
    reason: str = ""
    detail: str = ""
    alerted_at: Millis = 0
    progress: ProviderDay | None = None
    version: Version | None = None


class ProviderDays:
    """Store of the comparisons with all providers."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def state(self, provider: ProviderName) -> BooksState:
        """Return the state of a provider. Raises ProviderBooksBroken, StoreUnavailable."""
        document = self._documents.get(_path(provider))
        if document is None:
            return BooksState()
        told = _read(document, "state")
        try:
            progress = told.pop("progress")
            return BooksState(
                **told, progress=None if progress is None else _comparison(progress), version=document.version
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProviderBooksBroken(document.path) from error

    def save(self, provider: ProviderName, state: BooksState, writes: Sequence[Write] = ()) -> BooksState:
        """Store the state with further writes. Raises PreconditionFailed if another worker has changed the state."""
        told = {**asdict(replace(state, version=None)), "version": None}
        del told["version"]
        path, data = _path(provider), {"state": orjson.dumps(told).decode()}
        first: Write = Create(path, data) if state.version is None else Patch(path, data, state.version)
        return replace(state, version=self._documents.commit([first, *writes])[0])

    def find(self, provider: ProviderName, day: str) -> ProviderDay | None:
        """Return the result of a compared day, None if the day is not compared. Raises ProviderBooksBroken."""
        document = self._documents.get(_day_path(provider, day))
        if document is None:
            return None
        try:
            return _comparison(_read(document, "result"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProviderBooksBroken(document.path) from error

    def rows(self, provider: ProviderName, day: str, number: int) -> list[MoneyRow]:
        """Return the rows of a chunk. Raises ProviderBooksBroken."""
        path = _rows_path(provider, day, number)
        document = self._documents.get(path)
        data = None if document is None else document.data.get("rows")
        try:
            return rows_in(data if isinstance(data, bytes) else b"")
        except (ValueError, TypeError) as error:
            raise ProviderBooksBroken(path) from error

    def items(self, provider: ProviderName) -> dict[str, OpenItem]:
        """Return the open items by payment, at most ITEMS_MAX. Raises ProviderBooksBroken."""
        found: dict[str, OpenItem] = {}
        after: tuple[str] | None = None
        while len(found) < ITEMS_MAX:
            query = Query(collection=f"{_path(provider)}/provider_items", limit=ITEMS_PAGE, after=after)
            documents = self._documents.query(query)
            found |= {each.id: _item(each) for each in documents}
            if len(documents) < ITEMS_PAGE:
                break
            after = (documents[-1].path,)
        return found

    def delete_rows(self, provider: ProviderName, day: str, chunks: int) -> None:
        """Delete the rows of a compared day. What is left after a failure is deleted by its time."""
        paths = [_rows_path(provider, day, number) for number in range(chunks)]
        for at in range(0, len(paths), DELETES_AT_ONCE):
            self._documents.commit([Delete(path) for path in paths[at : at + DELETES_AT_ONCE]])


def rows_write(provider: ProviderName, day: str, number: int, rows: Sequence[MoneyRow], now: Millis) -> Write:
    """Return the write of a chunk of rows."""
    data: Data = {"rows": rows_data(rows), "delete_at": to_datetime(now + ROWS_KEPT)}
    return Put(_rows_path(provider, day, number), data)


def item_write(provider: ProviderName, item: OpenItem) -> Write:
    """Return the write of an open item."""
    return Put(_item_path(provider, item.tally.payment), {"item": orjson.dumps(asdict(item)).decode()})


def item_end(provider: ProviderName, payment: str) -> Write:
    """Return the write that deletes an item on which both sides agree."""
    return Delete(_item_path(provider, payment))


def result_of(comparison: ProviderDay) -> tuple[str, str]:
    """Return the stored text of a result, and the SHA-256 of the text in hex."""
    text = orjson.dumps(asdict(comparison), option=orjson.OPT_SORT_KEYS).decode()
    return text, hashlib.sha256(text.encode()).hexdigest()


def result_write(provider: ProviderName, day: str, text: str) -> Write:
    """Return the write of a day's result."""
    return Put(_day_path(provider, day), {"result": text})


def _path(provider: ProviderName) -> str:
    return f"{COLLECTION}/{provider}"


def _day_path(provider: ProviderName, day: str) -> str:
    return f"{_path(provider)}/provider_days/{day}"


def _rows_path(provider: ProviderName, day: str, number: int) -> str:
    return f"{_path(provider)}/provider_rows/{day}-{number:06d}"


def _item_path(provider: ProviderName, payment: str) -> str:
    return f"{_path(provider)}/provider_items/{payment}"


def _read(document: Document, name: str) -> dict[str, Any]:
    try:
        told: Any = orjson.loads(str(document.data[name]))
        return dict(told)
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderBooksBroken(document.path) from error


def _comparison(told: Mapping[str, Any]) -> ProviderDay:
    sums = {
        name: {currency: MoneySums(**each) for currency, each in told[name].items()} for name in ("listed", "elsewhere")
    }
    lists = {"items": tuple(told["items"]), "news": tuple(told["news"])}
    return ProviderDay(**{**told, **sums, **lists})


def _item(document: Document) -> OpenItem:
    told = _read(document, "item")
    try:
        tally = PaymentTally(**{**told["tally"], "names": tuple(told["tally"]["names"])})
        base = None if told["base"] is None else PaymentTally(**{**told["base"], "names": tuple(told["base"]["names"])})
        return OpenItem(**{**told, "tally": tally, "base": base})
    except (KeyError, TypeError) as error:
        raise ProviderBooksBroken(document.path) from error
