"""Analytics: each account's usage by day, projected from its journal to `accounts/{uid}/usage/{2026-11-24}`.

One commit writes the projection's position (`accounts/{uid}/relay/usage`) and the changed days, each on the version
that was read. So only the next entries in order can be added, and only once. The projection ends as the fold of the
journal even if several instances follow the same account, or one crashes at any point.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from shared.kernel.canonical import Json, canonical
from shared.kernel.clock import Clock
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    Version,
    Write,
)
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.series import DAYS_MAX
from shared.ledger.usage import Amounts, Body, Day, UsageFold, Use, day_of, folded

WINDOW = 200
"""Largest number of entries that one commit adds."""
STEPS_MAX = 200
"""Largest number of windows that one call follows; the next call continues behind them."""
READ_STEPS_MAX = 10
ATTEMPTS_MAX = 8
PAUSE_SECONDS = 0.05
CLEAR_BATCH = 200
ACCOUNTS_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Usage by day up to entry `seq`. `days` has only days with usage, by ISO date."""

    days: Mapping[str, Day]
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Position of the projection. If `is_clearing` is True, the projected days are being removed before a rebuild."""

    path: str
    usage: UsageFold
    is_clearing: bool
    document: Document | None

    @property
    def version(self) -> Version | None:
        """Version of the position's document; None if there is no document."""
        return None if self.document is None else self.document.version

    def write(self, usage: UsageFold, *, is_clearing: bool = False) -> Write:
        """Return the write of the next position. The commit fails if the position has changed."""
        opened = {hold: list(use) for hold, use in usage.open.items()}
        data: Data = {
            "seq": usage.seq,
            "open": canonical(opened).decode(),
            "is_clearing": is_clearing,
        }
        return Create(self.path, data) if self.document is None else Put(self.path, data, self.document.version)


class UsageAnalytics:
    """Projection of usage by day, and its reader. Safe to share between threads and instances."""

    def __init__(self, documents: Documents, ledger: Ledger, clock: Clock) -> None:
        self._documents = documents
        self._ledger = ledger
        self._clock = clock

    def follow(self, uid: Uid, to: int | None = None, *, steps: int = STEPS_MAX) -> int:
        """Project new entries, up to entry `to` at least or to the end, and return the last projected entry.

        Stops early after `steps` windows. Raises IntegrityFailed when an entry is missing; PreconditionFailed or
        OutcomeUnknown after repeated failed commits.
        """
        failures = 0
        while True:
            head = self._head(uid)
            if to is not None and head.usage.seq >= to and not head.is_clearing:
                return head.usage.seq
            try:
                is_over = self._clear(uid, head) if head.is_clearing else self._step(uid, head)
                failures, steps = 0, steps - 1
            except (PreconditionFailed, OutcomeUnknown):
                failures += 1
                if failures == ATTEMPTS_MAX:
                    raise
                self._clock.wait(PAUSE_SECONDS * random.uniform(0.5, 1.5) * failures)  # noqa: S311  # spreads, guards nothing
                continue
            if is_over or steps <= 0:
                return self._head(uid).usage.seq

    def report(self, uid: Uid, first: str, last: str) -> Report:
        """Return the usage of the days `first` to `last`, both included, at most DAYS_MAX.

        New entries are projected first.

        All days are read as of one entry. Raises PreconditionFailed if new entries come faster than the days can be
        read.
        """
        self.follow(uid, steps=READ_STEPS_MAX)
        query = Query(collection=_collection(uid), limit=DAYS_MAX, id_from=first, id_to=last)
        head = self._head(uid)
        for _ in range(ATTEMPTS_MAX):
            before, found = head, self._documents.query(query)
            head = self._head(uid)
            if head.version == before.version:
                return Report(days={document.id: _day(document) for document in found}, seq=head.usage.seq)
        raise PreconditionFailed

    def rebuild(self, uid: Uid) -> int:
        """Remove the projected days, project the whole journal again, and return the last projected entry.

        If a rebuild crashes, the next caller of `follow` finishes the rebuild. Raises PreconditionFailed or
        OutcomeUnknown after repeated failed commits.
        """
        for attempt in range(ATTEMPTS_MAX):
            try:
                self._documents.commit([self._head(uid).write(UsageFold(), is_clearing=True)])
                break
            except (PreconditionFailed, OutcomeUnknown):
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                self._clock.wait(PAUSE_SECONDS)
        reached = -1
        while (now := self.follow(uid)) != reached:
            reached = now
        return reached

    def accounts(self) -> Iterator[Uid]:
        """Yield every user who has an account."""
        after: tuple[str] | None = None
        while found := self._documents.query(Query(collection="accounts", limit=ACCOUNTS_PAGE, after=after)):
            yield from (Uid(document.id) for document in found)
            after = (found[-1].path,)

    def _step(self, uid: Uid, head: _Head) -> bool:
        """Add the next window of entries. Return True if this window was the last.

        Raises IntegrityFailed when an entry is missing.
        """
        first = head.usage.seq + 1
        bodies = self._ledger.bodies(uid, first, first + WINDOW - 1)
        if not bodies:
            return True
        for seq, body in enumerate(bodies, first):
            if body["seq"] != seq:
                raise IntegrityFailed(uid=uid, seq=seq, rule="sequence")
        self._documents.commit(self._writes(uid, head, bodies))
        return len(bodies) < WINDOW

    def _writes(self, uid: Uid, head: _Head, bodies: Sequence[Body]) -> list[Write]:
        dates = sorted({day_of(body["at"]) for body in bodies})
        found = dict(zip(dates, self._documents.get_all([day_path(uid, date) for date in dates]), strict=True))
        known = {date: _day(document) for date, document in found.items() if document is not None}
        usage = folded(UsageFold(seq=head.usage.seq, open=head.usage.open, days=known), bodies)
        writes = [head.write(usage)]
        for date, day in usage.days.items():
            if day != known.get(date):
                path, document, data = day_path(uid, date), found[date], _day_data(uid, day)
                writes.append(Create(path, data) if document is None else Put(path, data, document.version))
        return writes

    def _clear(self, uid: Uid, head: _Head) -> bool:
        """Remove a batch of days.

        After the last batch, end the clearing. Return False, since the journal must be followed next.
        """
        days = self._documents.query(Query(collection=_collection(uid), limit=CLEAR_BATCH))
        head_write = head.write(UsageFold(), is_clearing=len(days) == CLEAR_BATCH)
        self._documents.commit([head_write, *(Delete(day.path, day.version) for day in days)])
        return False

    def _head(self, uid: Uid) -> _Head:
        path = f"{account_path(uid)}/relay/usage"
        document = self._documents.get(path)
        if document is None:
            return _Head(path=path, usage=UsageFold(), is_clearing=False, document=None)
        # Written by us alone: every field is there and of its type.
        opened: Mapping[str, list[str]] = orjson.loads(str(document.data["open"]))
        usage = UsageFold(seq=cast("int", document.data["seq"]), open={hold: Use(*use) for hold, use in opened.items()})
        return _Head(path=path, usage=usage, is_clearing=bool(document.data["is_clearing"]), document=document)


def day_path(uid: Uid, date: str) -> str:
    """Return `accounts/{uid}/usage/{2026-11-24}`, the path of a day's document."""
    return f"{_collection(uid)}/{date}"


def _collection(uid: Uid) -> str:
    return f"{account_path(uid)}/usage"


def _day_data(uid: Uid, day: Day) -> Data:
    """Return the data of a day's document. The state is one compact string: a row for each use, and the moves."""
    rows: list[Json] = [
        [*use, amounts.count, amounts.cost, amounts.input_tokens, amounts.output_tokens]
        for use, amounts in day.uses.items()
    ]
    return {"uid": uid, "state": canonical({"uses": rows, "moved": dict(day.moved)}).decode()}


def _day(document: Document) -> Day:
    state: Mapping[str, Any] = orjson.loads(str(document.data["state"]))
    uses = {
        Use(kind, model, key): Amounts(count=count, cost=cost, input_tokens=taken, output_tokens=given)
        for kind, model, key, count, cost, taken, given in state["uses"]
    }
    return Day(uses=uses, moved=state["moved"])
