"""Count of entries that the figures lack: those from before the figures, and all entries once a rebuild began.

The sequencer counts the new entries of an account whose figures are up to date. All other accounts are counted here,
many in one commit, which holds the positions and the days on the versions that were read. So each entry counts once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document, Documents, OutcomeUnknown, PreconditionFailed, Put, Write
from shared.kernel.errors import Unavailable
from shared.kernel.events import log, log_error
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import uid_of
from shared.ledger.document_paths import entry_path
from shared.ledger.entries import body_hash
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.figure_documents import (
    DAYS_MAX,
    FigureHead,
    FiguresBroken,
    FiguresNewer,
    added_days,
    day_figures_path,
    stored_day,
    stored_figure_head,
    with_months,
)
from shared.ledger.log.figure_lot_reader import lot_kinds
from shared.ledger.log.figure_lots import forgotten_lots
from shared.ledger.log.figures import DayFigures, figures_of
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.position import LogPosition, position_data, position_path, stored_position
from shared.ledger.log.sign_up_months import NoSignUps, SignUpMonths, with_sign_ups
from shared.ledger.log.waiting import is_position, positions_behind
from shared.ledger.stored_entries import stored_entry
from shared.ledger.usage import day_of

PAGE = 100
"""Positions of one query."""
ENTRIES_MAX = 2_000
"""Most entries of a commit."""
ATTEMPTS_MAX = 6
HEAD_ATTEMPTS_MAX = 20
"""Attempts to change the head, which the sequencer writes once a second."""


@dataclass(slots=True, eq=False, repr=False)
class _CountedPositions:
    """Positions with more entries counted, the number of entries read, and the figures of the entries by day."""

    positions: list[LogPosition] = field(default_factory=list)
    entries: int = 0
    days: dict[str, DayFigures] = field(default_factory=dict)


class FigureCount:
    """Counts what the figures lack."""

    def __init__(self, documents: Documents, sign_ups: SignUpMonths | None = None) -> None:
        self._documents = documents
        self._sign_ups = sign_ups or NoSignUps()

    def head(self) -> FigureHead:
        """Return the state of the figures. Raises StoreUnavailable."""
        return stored_figure_head(self._documents.get(HEAD_PATH))

    def begin_again(self, broken: FiguresBroken | None = None) -> FigureHead:
        """Begin a new generation, in which nothing is counted. Deletes the document of a day that cannot be read.

        Raises PreconditionFailed, StoreUnavailable.
        """
        begun = self._change_head(FigureHead.begun_again)
        if broken is not None:
            self._documents.commit([broken.delete])
        return begun

    def begin_beyond(self, generation: int) -> FigureHead:
        """Begin a generation newer than this one, unless such a one has begun. Raises the errors of `begin_again`."""
        newer = FigureHead(generation=generation).begun_again()
        return self._change_head(lambda state: state if state.generation > generation else newer)

    def go_on(self, after: str, deadline: Deadline) -> str | None:
        """Count the entries of accounts behind the position's path `after`, until the deadline.

        Return the path of the last account that is counted, None behind the last account. If a day cannot be read, a
        new generation begins, and the count starts again. Raises PreconditionFailed, StoreUnavailable.
        """
        while not deadline.is_over():
            found = positions_behind(self._documents, after, PAGE)
            try:
                if not self._count_all([each for each in found if is_position(each)], deadline):
                    return after
            except FiguresBroken as error:
                log("figures_broken", "ERROR", path=str(error.params["path"]))
                self.begin_again(error)
                return ""
            except FiguresNewer as error:
                self.begin_beyond(error.generation)
                return ""
            if len(found) < PAGE:
                return None
            after = found[-1].path
        return after

    def mark_whole(self, generation: int) -> FigureHead:
        """Note that the figures count all entries of the log, unless a new generation has begun since.

        An account that the sequencer has found behind meanwhile clears the mark with its next entry. Raises
        PreconditionFailed, StoreUnavailable.
        """
        return self._change_head(lambda state: replace(state, is_whole=state.generation == generation))

    def _change_head(self, change: Callable[[FigureHead], FigureHead]) -> FigureHead:
        """Change the state beside the head. A log without a head has nothing to count."""
        for attempt in range(1, HEAD_ATTEMPTS_MAX + 1):
            head = self._documents.get(HEAD_PATH)
            state = stored_figure_head(head)
            changed = change(state)
            if head is None or changed == state:
                return changed
            try:
                self._documents.commit([Put(HEAD_PATH, {**head.data, **changed.data()}, head.version)])
            except (PreconditionFailed, OutcomeUnknown):
                if attempt == HEAD_ATTEMPTS_MAX:
                    raise
            else:
                return changed
        raise AssertionError("the last attempt returns or raises")

    def _count_all(self, positions: Sequence[Document], deadline: Deadline) -> bool:
        """Count the entries of these accounts. Return False if the deadline is over first."""
        left = [each.path for each in positions]
        while left and not deadline.is_over():
            left = self._count_some(left)
        return not left

    def _count_some(self, paths: Sequence[str]) -> list[str]:
        """Count entries in one commit. Return the positions that are behind still."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            generation = self.head().generation
            counted, left = self._counted(paths, generation)
            if not counted.positions:
                return left
            try:
                self._documents.commit(self._writes(counted, generation))
            except (PreconditionFailed, OutcomeUnknown):
                if attempt == ATTEMPTS_MAX:
                    raise
            else:
                return left
        raise AssertionError("the last attempt returns or raises")

    def _counted(self, paths: Sequence[str], generation: int) -> tuple[_CountedPositions, list[str]]:
        """Read positions and entries, at most ENTRIES_MAX, and count. Return the positions that are behind still, too.

        An account with a broken position or entry is passed over: the watch and the log tell of it.
        """
        counted, left = _CountedPositions(), list[str]()
        found = (_readable(each) for each in self._documents.get_all(paths) if each is not None)
        for position in with_sign_ups(self._sign_ups, [each for each in found if each is not None]):
            try:
                is_left = self._count_account(counted, position, generation)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001  # one account must not hold up the count of all others
                log_error("entries_not_counted", error, uid=position.uid, seq=position.figured.at(generation).seq + 1)
                continue
            if is_left:
                left.append(position_path(position.uid))
        return counted, left

    def _count_account(self, counted: _CountedPositions, position: LogPosition, generation: int) -> bool:
        """Count the next entries of an account, as far as the commit has room. Return True if some are left."""
        known = position.figured.at(generation)
        behind, room = position.seq - known.seq, ENTRIES_MAX - counted.entries
        if behind <= 0 or not room:
            return behind > 0
        bodies = self._bodies(position, known.seq, min(behind, room))
        if bodies is None:
            return False
        counted.entries += len(bodies)
        bodies = _of_days(bodies, counted.days.keys())
        if not bodies:
            return True
        kinds = lot_kinds(self._documents, position.uid, forgotten_lots(known.lots, bodies))
        figured, days = figures_of(known, bodies, kinds)
        counted.positions.append(replace(position, figured=figured))
        counted.days = added_days(counted.days, days)
        return len(bodies) < behind

    def _bodies(self, position: LogPosition, after: int, count: int) -> list[Mapping[str, Any]] | None:
        """Return the bodies of the next `count` entries behind entry `after`, None if the chain is broken there."""
        seqs = range(max(1, after), after + count + 1)
        found = self._documents.get_all([entry_path(position.uid, seq) for seq in seqs])
        entries = [stored_entry(each) for each in found if each is not None]
        bodies = [orjson.loads(each.body) for each in entries]
        hashes = [body_hash(each.body) if each.redaction is None else each.hash for each in entries]
        is_linked = all(body["prev"] == before for body, before in zip(bodies[1:], hashes, strict=False))
        is_end = after + count < position.seq or hashes[-1:] == [position.hash]
        if len(entries) == len(seqs) and is_linked and is_end:
            return bodies if after == 0 else bodies[1:]
        log("entries_not_counted", "ERROR", uid=position.uid, seq=after + 1)
        return None

    def _writes(self, counted: _CountedPositions, generation: int) -> list[Write]:
        figures = with_months(counted.days)
        found = self._documents.get_all([day_figures_path(day) for day in figures])
        days = [stored_day(day, known, generation) for day, known in zip(figures, found, strict=True)]
        return [
            *(Put(position_path(each.uid), position_data(each), each.version) for each in counted.positions),
            *(each.write_with(figures[each.day], generation) for each in days),
        ]


def _of_days(bodies: list[Mapping[str, Any]], days: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the first entries of these, as many as fall on `days` or on further days that a commit has room for."""
    known = set(days)
    for number, body in enumerate(bodies):
        known.add(day_of(body["at"]))
        if len(known) > DAYS_MAX:
            return bodies[:number]
    return bodies


def _readable(document: Document) -> LogPosition | None:
    """Return the position, None if the document is no sound position of this release."""
    try:
        return stored_position(uid_of(document.path), document)
    except (IntegrityFailed, SchemaUnknown) as error:
        log_error("position_not_counted", error, path=document.path)
        return None
