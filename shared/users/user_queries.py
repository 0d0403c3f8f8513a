"""Queries for lists of users: each filter has one query, whose candidates are then held to the other filters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Document, Order, Query, Value, Where
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.users.profiles import stored_address

LAST_CHARACTER = "\U0010ffff"
"""Character that sorts behind each character of an address."""
NO_DEBT = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    """Conditions on users, which hold all at once; None: no condition. Amounts in µcr, times in ms.

    `email` is the beginning of an address. `first` is inclusive, `last` exclusive, of the first call.
    """

    email: str | None = None
    uid: Uid | None = None
    role: str | None = None
    status: str | None = None
    is_in_debt: bool | None = None
    debt_min: int | None = None
    first: Millis | None = None
    last: Millis | None = None

    @property
    def is_simple(self) -> bool:
        """True if one query decides all conditions."""
        if self.status == "open" or self.is_in_debt is False or self.debt_min is not None:
            return False
        by_date = self.first if self.first is not None else self.last
        conditions = (self.email, self.role, self.status, self.is_in_debt, by_date)
        return sum(each is not None for each in conditions) <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSource:
    """Ordered collection that a list of users walks through. `field` is the sort field; None: by path.

    `is_accounts`: the documents are accounts, else profiles.
    """

    name: str
    where: tuple[Where, ...] = ()
    field: str | None = None
    is_descending: bool = False

    @property
    def collection(self) -> str:
        """Name of the collection: `accounts` or `users`."""
        return "accounts" if self.name in {"debt", "frozen"} else "users"

    def cursor(self, document: Document) -> str:
        """Return the cursor behind a document, in plain ASCII."""
        value = None if self.field is None else document.data[self.field]
        told = "" if value is None else str(_number(value))
        return "~".join(quote(each, safe="") for each in (self.name, told, document.id))

    def place(self, cursor: str) -> tuple[Value, ...]:
        """Return the place in the order behind which `cursor` continues. Raises InvalidValue."""
        parts = [unquote(each) for each in cursor.split("~")]
        if len(parts) != len(("name", "value", "uid")) or parts[0] != self.name or "/" in parts[2] or not parts[2]:
            raise InvalidValue("cursor", "is not one of this list")
        path = f"{self.collection}/{parts[2]}"
        return (path,) if self.field is None else (_value(self.name, parts[1]), path)


def user_query(source: UserSource, cursor: str | None, limit: int) -> Query:
    """Return the query of the documents behind `cursor`. Raises InvalidValue for a cursor of another list."""
    order = () if source.field is None else (Order(source.field, source.is_descending),)
    after = None if cursor is None else source.place(cursor)
    return Query(collection=source.collection, where=source.where, order_by=order, after=after, limit=limit)


def source_of(wanted: UserFilter) -> UserSource:
    """Return the source with the fewest candidates for these conditions."""
    found = next((make(wanted) for is_for, make in SOURCES if is_for(wanted)), None)
    return found or _by_date(wanted)


def _by_date(wanted: UserFilter) -> UserSource:
    bounds = ((">=", wanted.first), ("<", wanted.last))
    where = tuple(Where("created_at", sign, to_datetime(at)) for sign, at in bounds if at is not None)  # type: ignore[arg-type]
    return UserSource(name="date", where=where, field="created_at", is_descending=True)


def _by_address(wanted: UserFilter) -> UserSource:
    start = stored_address(wanted.email) or ""
    where = (Where("email", ">=", start), Where("email", "<", start + LAST_CHARACTER))
    return UserSource(name="email", where=where, field="email")


def _by_role(wanted: UserFilter) -> UserSource:
    return UserSource(name="role", where=(Where("roles", "array_contains", wanted.role),))


SOURCES: Sequence[tuple[Callable[[UserFilter], bool], Callable[[UserFilter], UserSource]]] = (
    (
        lambda wanted: bool(wanted.is_in_debt or wanted.debt_min),
        lambda _: UserSource(name="debt", where=(Where("debt", ">", NO_DEBT),), field="debt"),
    ),
    (
        lambda wanted: wanted.status == "frozen",
        lambda _: UserSource(name="frozen", where=(Where("status", "==", "frozen"),)),
    ),
    (lambda wanted: wanted.role is not None, _by_role),
    (
        lambda wanted: wanted.status == "closed",
        lambda _: UserSource(name="closed", where=(Where("status", "==", "closed"),)),
    ),
    (lambda wanted: wanted.email is not None, _by_address),
)
"""Sources in the order of their choice. Users without such a condition are listed by the date of their first call."""


def _number(value: Value) -> Value:
    """Return a time as milliseconds; any other value unchanged."""
    return from_datetime(value) if isinstance(value, datetime) else value


def _value(source: str, text: str) -> Value:
    """Return the value of a cursor. Raises InvalidValue for a cursor that no list gave."""
    if source != "date":
        return text
    try:
        return to_datetime(int(text))
    except (ValueError, OverflowError) as error:
        raise InvalidValue("cursor", "is not one of this list") from error
