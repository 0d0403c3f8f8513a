"""ProviderDay of each closed day with the listings of the payment providers, payment by payment.

The provider's lines and the moves of the log are read page by page, over several runs if need be, and stored as rows.
Then the rows are joined, a partition at a time. So memory and each commit are bounded on a day of any size.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from shared.kernel.clock import DAY, HOUR, MINUTE, Clock, Millis, from_datetime, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, Write
from shared.kernel.errors import DomainError, Rejected
from shared.kernel.events import Alerts, log
from shared.ledger.log.day_store import DayStore
from shared.ledger.log.days import DayRecord
from shared.ledger.log.world_moves import WORLD
from shared.payments.comparison import (
    EDGE,
    OpenItem,
    PaymentTally,
    judged,
    partition_of,
    tallied,
    theirs,
)
from shared.payments.listed_money import FindsMoney, ListsMoney
from shared.payments.payment import Payment
from shared.payments.ports import PaymentProvider, ProviderName
from shared.payments.provider_days import (
    ITEMS_MAX,
    JOIN,
    THEIRS,
    BooksState,
    ProviderDay,
    ProviderDays,
    item_end,
    item_write,
    result_of,
    result_write,
    rows_write,
)
from shared.payments.store import Payments
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.money_sides import MoneySides, ProviderTurn
from shared.users.roles import ADMIN

JOB = "provider_books"
GRACE: Millis = 6 * HOUR
"""Time after the end of a day until the day is compared. PayPal lists a transaction up to three hours late."""
CLOSE_SECONDS = 20.0
"""Time for which a comparison that is due waits for the close of a day in the same run."""
RETRY_AFTER: Millis = 15 * MINUTE
LATE_AFTER: Millis = 3 * DAY
"""Time after the end of a day from which on operators are alerted that the day is not compared."""
ROWS_AT_ONCE = 4_000
"""Rows of a stored chunk, and about the payments of a partition."""
ITEMS_SHOWN = 200
NEWS_SHOWN = 5
WRITES_AT_ONCE = 400
OWNER = ADMIN
"""Role of the operators who act on differences."""


class ProviderBooks:
    """The periodic comparison with the listings of all providers."""

    def __init__(
        self,
        documents: Documents,
        days: DayStore,
        providers: Callable[[], Mapping[ProviderName, PaymentProvider]],
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._days = days
        self._books = ProviderDays(documents)
        self._payments = Payments(documents)
        self._sides = MoneySides(documents)
        self._providers = providers
        self._alerts = alerts
        self._clock = clock

    def compare(self, run: JobRun) -> None:
        """Compare the closed days that are not compared yet, each provider for itself.

        The run's cursor has the last compared day of each provider and the time of the next try, so that a run without
        work reads nothing.
        """
        places = _places_in(run.cursor)
        due = self._due_day()
        waiting = [
            name
            for name in sorted(self._providers())
            if places.get(name, ("", 0))[0] < due and places.get(name, ("", 0))[1] <= self._clock.now()
        ]
        if waiting:
            run.looks.wait_for("close_day", CLOSE_SECONDS)
        for name in waiting:
            provider = self._providers()[name]
            if isinstance(provider, ListsMoney) and not run.is_over():
                run.attempt(JOB, name, lambda item, _: self._go_on(item, places, run.deadline))
        run.cursor = json.dumps(places, sort_keys=True) if places else run.cursor

    def _due_day(self) -> str:
        return to_datetime(Millis(self._clock.now() - GRACE - DAY)).date().isoformat()

    def _go_on(self, name: ProviderName, places: dict[str, tuple[str, int]], deadline: Deadline) -> None:
        """Compare days of one provider until none is due, the provider does not answer, or the time is up."""
        state = self._books.state(name)
        places[name] = (state.last, 0)
        while not deadline.is_over():
            if state.progress is None:
                begun = self._begun(name, state)
                if begun is None:
                    places[name] = (state.last, self._clock.now() + RETRY_AFTER if state.last < self._due_day() else 0)
                    return
                state = begun
            try:
                state = self._compared(name, state, deadline)
            except DomainError as error:
                self._put_off(name, error, state.began)
                places[name] = (state.last, self._clock.now() + RETRY_AFTER)
                return
            places[name] = (state.last, 0)

    def _begun(self, name: ProviderName, state: BooksState) -> BooksState | None:
        """Return the state with the comparison of the next closed day; None if no closed day is left."""
        last = min(self._days.state().last, self._due_day())
        record = self._next_record(state.last, last) if last > state.last else None
        if record is None:
            return None
        start, end = _start_of(record.day), Millis(_start_of(record.day) + DAY)
        before_day = state.last or (date.fromisoformat(record.day) - timedelta(days=1)).isoformat()
        before = self._days.find(before_day)
        expected = _granted(record, name) - (0 if before is None else _granted(before.record, name))
        progress = ProviderDay(
            day=record.day,
            since=state.until or start,
            until=end,
            first=0 if before is None else before.record.size,
            size=record.size,
            expected=expected,
            previous=state.hash,
        )
        return replace(state, began=state.began or start, progress=progress)

    def _next_record(self, after: str, last: str) -> DayRecord | None:
        """Return the earliest closed day behind `after`, up to `last`. The first comparison begins with `last`."""
        day = (date.fromisoformat(after) + timedelta(days=1)).isoformat() if after else last
        while day <= last:
            if (found := self._days.find(day)) is not None:
                return found.record
            day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        return None

    def _compared(self, name: ProviderName, state: BooksState, deadline: Deadline) -> BooksState:
        """Go on with a comparison until it is over or the time is up. Raises errors of the provider and the store."""
        provider = self._providers()[name]
        assert isinstance(provider, ListsMoney), "only such providers are compared"
        assert state.progress is not None, "a comparison is under way"
        turn = ProviderTurn(name, provider, state, state.progress, [])
        try:
            while turn.progress.phase != JOIN and not deadline.is_over():
                self._read(turn)
        finally:
            self._flush(turn)
        while turn.state.progress is not None and not deadline.is_over():
            self._join_next(turn)
        return turn.state

    # ── both sides as rows ───────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, turn: ProviderTurn) -> None:
        if turn.progress.phase == THEIRS:
            self._sides.read_theirs(turn)
        else:
            self._sides.read_ours(turn)
        if len(turn.buffer) >= ROWS_AT_ONCE or turn.progress.phase == JOIN:
            self._flush(turn)

    def _flush(self, turn: ProviderTurn) -> None:
        """Store the buffer, with the progress behind it. A day without a row is joined at once, and stored then."""
        if turn.progress == turn.state.progress:
            return
        progress, writes = turn.progress, list[Write]()
        if turn.buffer:
            writes.append(rows_write(turn.name, progress.day, progress.chunks, turn.buffer, self._clock.now()))
            progress = replace(progress, chunks=progress.chunks + 1, rows=progress.rows + len(turn.buffer))
        state = replace(turn.state, progress=progress, reason="", detail="")
        is_empty = progress.phase == JOIN and not progress.chunks
        turn.state = state if is_empty else self._books.save(turn.name, state, writes)
        turn.progress, turn.buffer = progress, []

    # ── joined ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join_next(self, turn: ProviderTurn) -> None:
        """Join the next partition, store its items, and end the comparison behind the last partition."""
        progress = turn.progress
        partitions = max(1, -(-progress.rows // ROWS_AT_ONCE))
        items = self._books.items(turn.name)
        of_partition = [name for name in items if partition_of(name, partitions) == progress.partition]
        known = {name: tally for name in of_partition if (tally := items[name].tally_before(progress.day)) is not None}
        rows = (
            row
            for number in range(progress.chunks)
            for row in self._books.rows(turn.name, progress.day, number)
            if partition_of(row.payment, partitions) == progress.partition
        )
        tallies = self._with_found(turn, tallied(rows, known, progress.day))
        wanted = {name: tally for name, tally in tallies.items() if name in items or not self._is_settled(turn, tally)}
        progress, settled = self._judged(turn, wanted, items)
        progress = replace(progress, partition=progress.partition + 1)
        if progress.partition < partitions:
            turn.state = self._books.save(turn.name, replace(turn.state, progress=progress))
            turn.progress = progress
        else:
            self._end(turn, progress)
        self._commit([item_end(turn.name, name) for name in settled])

    def _with_found(self, turn: ProviderTurn, tallies: dict[str, PaymentTally]) -> dict[str, PaymentTally]:
        """Add the lines that the provider tells of single payments. Without such a provider change nothing."""
        provider = turn.provider
        if not isinstance(provider, FindsMoney):
            return tallies
        wanted = sorted(name for name, each in tallies.items() if each.ours_in and not each.theirs_in)
        for at in range(0, len(wanted), WRITES_AT_ONCE):
            payments = self._payments.among(wanted[at : at + WRITES_AT_ONCE])
            for line in provider.found_money(list(payments.values()), turn.progress.since):
                tallies[line.payment] = tallies[line.payment].with_row(theirs(line, payments[line.payment]))
        return tallies

    def _commit(self, writes: Sequence[Write]) -> None:
        for at in range(0, len(writes), WRITES_AT_ONCE):
            self._documents.commit(writes[at : at + WRITES_AT_ONCE])

    def _is_settled(self, turn: ProviderTurn, tally: PaymentTally) -> bool:
        """Return True if both sides agree, or if the money came just before the first day that is compared."""
        has_theirs = tally.theirs_in or tally.theirs_out or tally.pending or tally.unvalued
        is_before = not turn.state.last and not has_theirs and tally.last < turn.progress.since + EDGE
        return tally.is_balanced or (is_before and tally.ours_in > 0)

    def _judged(
        self, turn: ProviderTurn, tallies: Mapping[str, PaymentTally], items: Mapping[str, OpenItem]
    ) -> tuple[ProviderDay, list[str]]:
        """Store the items of a partition, and return the progress with them, and the names of those that are settled.

        Settled items are deleted once the progress is stored: until then a repetition needs them.
        """
        progress, writes, settled = turn.progress, list[Write](), list[str]()
        payments = self._payments_named(sorted(tallies))
        for name in sorted(tallies):
            item = judged(tallies[name], payments.get(name), progress.day, progress.until, items.get(name))
            if name in items or len(items) + len(writes) < ITEMS_MAX:
                writes.append(item_write(turn.name, item))
            if item.state == "settled":
                settled.append(name)
            else:
                progress = _with_item(progress, item)
        self._commit(writes)
        return progress, settled

    def _payments_named(self, names: Sequence[str]) -> dict[str, Payment]:
        found: dict[str, Payment] = {}
        for at in range(0, len(names), WRITES_AT_ONCE):
            found |= self._payments.among(names[at : at + WRITES_AT_ONCE])
        return found

    def _end(self, turn: ProviderTurn, progress: ProviderDay) -> None:
        """Store the result of the day, and alert operators of new differences."""
        text, digest = result_of(progress)
        is_in_time = self._clock.now() - progress.until < LATE_AFTER + DAY
        state = replace(
            turn.state, last=progress.day, until=progress.until, hash=digest, progress=None, reason="", detail=""
        )
        if progress.news_count or not progress.is_complete or progress.unreadable:
            self._alerts.alert(
                "provider_books_differ",
                provider=turn.name,
                day=progress.day,
                count=progress.news_count,
                payments=", ".join(progress.news),
                is_log_complete=progress.is_complete,
                unreadable=progress.unreadable,
                owner=OWNER,
            )
        writes = [] if progress.is_empty else [result_write(turn.name, progress.day, text)]
        turn.state = self._books.save(turn.name, state, writes)
        if turn.state.alerted_at and is_in_time:
            self._alerts.resolve("provider_books_late", provider=turn.name)
        log("provider_day_compared", provider=turn.name, day=progress.day, rows=progress.rows, open=progress.open)
        self._books.delete_rows(turn.name, progress.day, progress.chunks)

    def _put_off(self, name: ProviderName, error: DomainError, began: Millis) -> None:
        """Store why the day stays open. Alert operators once a day from the third day on.

        `began` is stored for a provider that never answered, so that its first day can become late. After a refusal the
        listing begins again: its place may be the cause.
        """
        known, now = self._books.state(name), self._clock.now()
        state = replace(known, began=known.began or began)
        log("provider_day_not_compared", "WARNING", provider=name, code=error.code)
        is_late = now - (state.until or now) >= LATE_AFTER + DAY or self._is_first_late(state, now)
        is_told = is_late and now - state.alerted_at >= DAY
        if is_told:
            self._alerts.alert("provider_books_late", provider=name, last=state.last, reason=error.code, owner=OWNER)
        progress = None if isinstance(error, Rejected) else state.progress
        alerted_at = now if is_told else state.alerted_at
        stored = replace(state, reason=error.code, detail=error.detail, alerted_at=alerted_at, progress=progress)
        if stored != known:
            self._books.save(name, stored)

    def _is_first_late(self, state: BooksState, now: Millis) -> bool:
        """Return True if the first day that is compared ended too long ago."""
        return not state.last and bool(state.began) and now - state.began >= LATE_AFTER + DAY


def _with_item(progress: ProviderDay, item: OpenItem) -> ProviderDay:
    """Return the progress with one more open item."""
    is_shown, is_news = len(progress.items) < ITEMS_SHOWN, item.is_news(progress.day)
    return replace(
        progress,
        open=progress.open + 1,
        in_transit=progress.in_transit + (item.state == "in_transit"),
        items=(*progress.items, _shown(item)) if is_shown else progress.items,
        news=(*progress.news, item.tally.payment)[:NEWS_SHOWN] if is_news else progress.news,
        news_count=progress.news_count + is_news,
    )


def _shown(item: OpenItem) -> dict[str, object]:
    """Return an open item as the result of the day shows it."""
    tally = item.tally
    return {
        "payment": tally.payment,
        "finding": item.finding,
        "state": item.state,
        "uid": item.uid,
        "problem": item.problem,
        "first_day": tally.first_day,
        "ours": tally.ours_in + tally.ours_out,
        "theirs": tally.theirs_in + tally.theirs_out,
        "minor": tally.minor,
        "currency": tally.currency,
        "names": list(tally.names),
    }


def _granted(record: DayRecord, name: ProviderName) -> int:
    """Return the credits (µcr) that came from the provider, less those that went back, in the books of a day."""
    return -record.books.flows.get(f"{WORLD}{name}", 0)


def _start_of(day: str) -> Millis:
    return from_datetime(datetime.fromisoformat(day).replace(tzinfo=UTC))


def _places_in(cursor: str) -> dict[str, tuple[str, int]]:
    """Return the last compared day and the time of the next try by provider. Any other cursor is none."""
    try:
        return {str(name): (str(day), int(wait)) for name, (day, wait) in json.loads(cursor or "{}").items()}
    except (AttributeError, TypeError, ValueError):
        return {}
