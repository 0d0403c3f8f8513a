"""Analytics: each account's usage by day, projected from its journal to `accounts/{uid}/usage/{2026-11-24}`.

One commit writes the projection's position (see `shared.ledger.positions`) and the changed days, each on the version
that was read. So only the next entries in order can be added, and only once. The projection ends as the fold of the
journal even if several instances follow the same account, or one crashes at any point. The relay adds the entries that
are published; a report adds entries that the relay has not reached yet.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shared.kernel.canonical import Json, canonical, parse_canonical
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
    Value,
    Write,
)
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path, uid_of
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.positions import JournalPosition, commit_position, read_position
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
RULE = "usage"
"""Law that the usage of a day breaks if the ledger did not write the usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Usage by day up to entry `seq`. `days` has only days with usage, by ISO date."""

    days: Mapping[str, Day]
    seq: int


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
            position = read_position(self._documents, uid)
            if to is not None and position.usage.seq >= to and not position.is_clearing:
                return position.usage.seq
            try:
                is_over = self._step(uid, position)
                failures, steps = 0, steps - 1
            except (PreconditionFailed, OutcomeUnknown):
                failures += 1
                if failures == ATTEMPTS_MAX:
                    raise
                self._clock.wait(PAUSE_SECONDS * random.uniform(0.5, 1.5) * failures)  # noqa: S311  # spreads, guards nothing
                continue
            if is_over or steps <= 0:
                return read_position(self._documents, uid).usage.seq

    def report(self, uid: Uid, first: str, last: str) -> Report:
        """Return the usage of the days `first` to `last`, both included, at most DAYS_MAX.

        New entries are projected first.

        All days are read as of one entry. Raises PreconditionFailed if new entries come faster than the days can be
        read.
        """
        self.follow(uid, steps=READ_STEPS_MAX)
        query = Query(collection=_collection(uid), limit=DAYS_MAX, id_from=first, id_to=last)
        position = read_position(self._documents, uid)
        for _ in range(ATTEMPTS_MAX):
            before, found = position, self._documents.query(query)
            position = read_position(self._documents, uid)
            if position.version == before.version:
                return Report(days={document.id: _day(document) for document in found}, seq=position.usage.seq)
        raise PreconditionFailed

    def rebuild(self, uid: Uid) -> int:
        """Remove the projected days, project the whole journal again, and return the last projected entry.

        If a rebuild crashes, the next caller of `follow` finishes the rebuild. Raises PreconditionFailed or
        OutcomeUnknown after repeated failed commits.
        """
        for attempt in range(ATTEMPTS_MAX):
            try:
                cleared = replace(read_position(self._documents, uid), usage=UsageFold(), is_clearing=True)
                commit_position(self._documents, cleared)
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

    def _step(self, uid: Uid, position: JournalPosition) -> bool:
        """Remove a batch of days if they are being removed, else add the next window of entries.

        Return True if this window was the last. Raises IntegrityFailed when an entry is missing.
        """
        if position.is_clearing:
            cleared, removed = clear_days(self._documents, uid, position)
            commit_position(self._documents, cleared, *removed)
            return False
        first = position.usage.seq + 1
        bodies = self._ledger.bodies(uid, first, first + WINDOW - 1)
        if not bodies:
            return True
        for seq, body in enumerate(bodies, first):
            if body.get("seq") != seq:
                raise IntegrityFailed(uid=uid, seq=seq, rule="sequence")
        usage, days = folded_days(self._documents, uid, position.usage, bodies)
        commit_position(self._documents, replace(position, usage=usage), *days)
        return len(bodies) < WINDOW


def folded_days(
    documents: Documents, uid: Uid, usage: UsageFold, bodies: Sequence[Body]
) -> tuple[UsageFold, list[Write]]:
    """Return `usage` with the next entries added, and the writes of the days that change.

    Each day is written on the version that is read here. `bodies` are the entries after `usage.seq`, without a gap.
    Raises IntegrityFailed if the ledger did not write a day or an entry.
    """
    try:
        return _folded_days(documents, uid, usage, bodies)
    except UNREADABLE as error:
        raise IntegrityFailed(uid=uid, seq=usage.seq + 1, rule="canonical") from error


def _folded_days(
    documents: Documents, uid: Uid, usage: UsageFold, bodies: Sequence[Body]
) -> tuple[UsageFold, list[Write]]:
    dates = sorted({day_of(body["at"]) for body in bodies})
    found = dict(zip(dates, documents.get_all([day_path(uid, date) for date in dates]), strict=True))
    known = {date: _day(document) for date, document in found.items() if document is not None}
    after = folded(UsageFold(seq=usage.seq, open=usage.open, days=known), bodies)
    changed = {date: day for date, day in after.days.items() if day != known.get(date)}
    writes = [_day_write(day_path(uid, date), _day_data(uid, day), found[date]) for date, day in changed.items()]
    return UsageFold(seq=after.seq, open=after.open), writes


def clear_days(documents: Documents, uid: Uid, position: JournalPosition) -> tuple[JournalPosition, list[Write]]:
    """Return the position after a batch of days is removed, and the writes that remove them.

    After the last batch the position has no days to remove, and the journal is added up from the beginning.
    """
    days = documents.query(Query(collection=_collection(uid), limit=CLEAR_BATCH))
    after = replace(position, usage=UsageFold(), is_clearing=len(days) == CLEAR_BATCH)
    return after, [Delete(day.path, day.version) for day in days]


def day_path(uid: Uid, date: str) -> str:
    """Return `accounts/{uid}/usage/{2026-11-24}`, the path of a day's document."""
    return f"{_collection(uid)}/{date}"


def _day_write(path: str, data: Data, found: Document | None) -> Write:
    return Create(path, data) if found is None else Put(path, data, found.version)


def _collection(uid: Uid) -> str:
    return f"{account_path(uid)}/usage"


def _day_data(uid: Uid, day: Day) -> Data:
    """Return the data of a day's document. The state is one compact string: a row for each use, and the moves."""
    rows, moved = day_rows(day)
    return {"uid": uid, "state": canonical({"uses": rows, "moved": moved}).decode()}


def day_rows(day: Day) -> tuple[list[Json], dict[str, Json]]:
    """Return a day as JSON: a row for each use, and the moves."""
    rows: list[Json] = [
        [*use, amounts.count, amounts.cost, amounts.input_tokens, amounts.output_tokens]
        for use, amounts in day.uses.items()
    ]
    return rows, dict(day.moved)


def _day(document: Document) -> Day:
    """Return the day in a document. Raises IntegrityFailed if the ledger did not write the document."""
    try:
        return day_in(document.data["state"])
    except UNREADABLE as error:
        raise IntegrityFailed(uid=uid_of(document.path), seq=0, rule=RULE) from error


def day_in(text: Value) -> Day:
    """Return the day in the state of a day's document. Raises an error of UNREADABLE for any other value."""
    state = cast("Mapping[str, Any]", parse_canonical(cast("str", text)))
    uses = {
        Use(_text(kind), _text(model), _text(key)): Amounts(
            count=_number(count), cost=_number(cost), input_tokens=_number(taken), output_tokens=_number(given)
        )
        for kind, model, key, count, cost, taken, given in state["uses"]
    }
    return Day(uses=uses, moved={_text(name): _number(amount) for name, amount in state["moved"].items()})


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
