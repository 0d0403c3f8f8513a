"""Sequencer: appends the new entries of many accounts to the log, each once, in one commit.

The commit holds the head on the version that was read, the tiles that became full, and the position of each account
that was visited. So of two sequencers one wins, and after an unclear answer the head and the positions tell if the
commit happened. The head is read before the positions, since reads of many documents are no snapshot.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from shared.kernel.clock import Clock
from shared.kernel.documents import Document, Documents, OutcomeUnknown, PreconditionFailed, Query
from shared.kernel.errors import Unavailable, code_of
from shared.kernel.events import log, log_error
from shared.kernel.ids import Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.document_paths import entry_path
from shared.ledger.errors import IntegrityFailed, RegistryBroken, UnknownKey
from shared.ledger.log.books import LedgerBooks, stored_books
from shared.ledger.log.figure_documents import (
    FigureHead,
    FiguresBroken,
    FiguresNewer,
    day_figures_path,
    stored_day,
    stored_figure_head,
    with_months,
)
from shared.ledger.log.figure_lot_reader import with_lots
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken, TreeHead, appended, stored_head, tile_path
from shared.ledger.log.position import POSITION_RULE, LogPosition, ParkedAt, position_path, stored_position
from shared.ledger.log.rounds import (
    AccountRead,
    CheckLinks,
    RoundPlan,
    Visit,
    add_account,
    add_leaf,
    page_to_extend,
    wanted_entries,
)
from shared.ledger.log.sign_up_months import NoSignUps, SignUpMonths, positions_to_count, with_sign_ups
from shared.ledger.log.typed_leaves import TypedLeaf, stored_leaf
from shared.ledger.stored_entries import StoredEntry, stored_entry

VISITS_MAX = 200
"""Most accounts of a round."""
LEAVES_MAX = 20
"""Most typed leaves of a round. A commit has less than 500 writes: 2 for each account, 1 for each leaf, and tiles.

One more has the moves of the round.
"""
ENTRIES_MAX = 2_000
"""Most entries of a round."""
ENTRIES_PER_VISIT = 200
"""Most entries of an account in a round with many accounts."""
READ_TOGETHER = 400
"""Documents that one call reads."""
AHEAD_MAX = 1_000_000
"""Most leaves that a position can be newer than a head that was rolled back behind the last checkpoint: some minutes.

A position beyond that is broken, and stops the account alone.
"""
ATTEMPTS_MAX = 6
PAUSE_SECONDS = 0.1
COMMIT_SECONDS = 30.0
FIRST_TRACES = (Query(collection=f"{HEAD_PATH}/tiles", limit=1), Query(collection="log", group=True, limit=1))


IsOfLedger: TypeAlias = Callable[[TypedLeaf], bool]


class LogBusy(Unavailable):
    """Error for a round whose commits all lost against others or had no clear answer. Another round may succeed."""

    code = "log_busy"

    def __init__(self) -> None:
        super().__init__("The log was changed by others again and again; try again.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RoundReport:
    """Outcome of a committed round: the size of the log, and the accounts by outcome; see `RoundPlan`.

    `faults` were parked in this round, or have a position that cannot be read. `parked` were parked before.
    `left` names the error of each account that was left as it is, and `left_leaves` of each typed leaf, by path.
    `bodies` has the body of the last new entry of each account that moved.
    """

    size: int
    entries: int = 0
    moved: frozenset[Uid] = frozenset()
    rest: tuple[Visit, ...] = ()
    current: frozenset[Uid] = frozenset()
    faults: dict[Uid, ParkedAt] = field(default_factory=dict)
    parked: dict[Uid, ParkedAt] = field(default_factory=dict)
    left: Mapping[Uid, str] = field(default_factory=dict)
    left_leaves: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[Uid, str] = field(default_factory=dict)
    is_committed: bool = False


class Sequencer:
    """Writer of the log. Only the minute's job uses a sequencer. Safe to use in two instances at once."""

    def __init__(
        self,
        documents: Documents,
        check: CheckLinks,
        clock: Clock,
        is_of_ledger: IsOfLedger = lambda _: True,
        sign_ups: SignUpMonths | None = None,
    ) -> None:
        """Make a sequencer. `is_of_ledger` tells whether the ledger wrote a typed leaf; the log gets no other."""
        self._sign_ups = sign_ups or NoSignUps()
        self._is_of_ledger = is_of_ledger
        self._documents = documents
        self._check = check
        self._clock = clock

    def append(self, visits: Sequence[Visit], leaves: Sequence[str] = ()) -> RoundReport:
        """Append the new entries of these accounts, at most 200, and the typed leaves at these paths, at most 20.

        An account with an entry that breaks a law is parked, and the others go on. Raises LogBroken if head, tiles and
        positions contradict each other; LogBusy, StoreUnavailable.
        """
        assert len(visits) <= VISITS_MAX, "a commit has bounded writes"
        assert len(leaves) <= LEAVES_MAX, "a commit has bounded writes"
        for attempt in range(ATTEMPTS_MAX):
            stored = self._documents.get(HEAD_PATH)
            try:
                plan = RoundPlan(head=self._head(stored), books=_books(stored), figures=stored_figure_head(stored))
                return self._committed(self._planned(plan, visits, leaves), stored)
            except _HeadMoved as moved:
                self._check_head(stored, "behind", moved.uid)
            except PreconditionFailed:
                log("log_commit_lost", "WARNING")
            except OutcomeUnknown:
                log("log_commit_unclear", "WARNING")
            self._clock.wait(PAUSE_SECONDS * attempt)
        raise LogBusy

    def _head(self, stored: Document | None) -> TreeHead:
        """Return the head. Raises LogBroken for a head that is broken, or is missing although the log has begun."""
        if stored is not None:
            return stored_head(stored.data)
        if any(self._documents.query(trace) for trace in FIRST_TRACES):
            raise LogBroken("head", "The head of the log is missing, but tiles or positions are there.")
        return EMPTY_HEAD

    def _planned(self, plan: RoundPlan, visits: Sequence[Visit], leaves: Sequence[str]) -> RoundPlan:
        """Read positions, then entries, and plan the round. Raises _HeadMoved if a position is newer than the head."""
        found = self._all([*leaves, *(position_path(visit.uid) for visit in visits)])
        for path in leaves:
            self._add_leaf(plan, found.get(path))
        positions = self._positions(plan, visits, found)
        counted = positions_to_count(visits, positions, plan.figures.generation)
        positions |= {each.uid: each for each in with_sign_ups(self._sign_ups, counted)}
        for read in self._read(visits, positions):
            self._add_account(plan, with_lots(self._documents, read, plan.figures.generation))
        if plan.moved:
            self._move_figures(plan)
        return plan

    def _move_figures(self, plan: RoundPlan) -> None:
        """Move the figures of the last rounds to the documents of their days, if they are many.

        A new generation begins if a day cannot be read, or is of a newer one than the head: nothing may stop the log.
        """
        plan.figures = state = plan.figures.after_round()
        if not state.is_due:
            return
        days = with_months(state.days)
        found = self._all([day_figures_path(day) for day in days])
        try:
            known = [stored_day(day, found.get(day_figures_path(day)), state.generation) for day in days]
        except FiguresBroken as error:
            log("figures_broken", "ERROR", path=str(error.params["path"]))
            plan.figures = state.begun_again()
            plan.writes.append(error.delete)
        except FiguresNewer as error:
            log("figures_newer", "WARNING", generation=error.generation)
            plan.figures = FigureHead(generation=error.generation).begun_again()
        else:
            plan.writes += [each.write_with(days[each.day], state.generation) for each in known]
            plan.figures = replace(state, rounds=0, days={})

    def _positions(
        self, plan: RoundPlan, visits: Sequence[Visit], found: Mapping[str, Document]
    ) -> dict[Uid, LogPosition]:
        """Return the positions that can be read. An account with another one is a fault, and stays as it is."""
        positions = dict[Uid, LogPosition]()
        for visit in visits:
            try:
                position = stored_position(visit.uid, found.get(position_path(visit.uid)))
            except IntegrityFailed as failure:
                plan.faults[visit.uid] = ParkedAt(seq=int(failure.params["seq"]), rule=str(failure.params["rule"]))
                continue
            except SchemaUnknown:
                log("log_position_unknown", "ERROR", uid=visit.uid)
                continue
            if position.end <= plan.head.size:
                positions[visit.uid] = position
            elif position.end <= plan.head.size + AHEAD_MAX and self._is_true(position):
                raise _HeadMoved(visit.uid)
            else:
                plan.faults[visit.uid] = ParkedAt(seq=0, rule=POSITION_RULE)
        return positions

    def _is_true(self, position: LogPosition) -> bool:
        """Return True if the account has the position's last entry. An edited position must not stop the whole log."""
        last = self._documents.get(entry_path(position.uid, position.seq))
        return last is not None and stored_entry(last).hash == position.hash

    def _read(self, visits: Sequence[Visit], positions: Mapping[Uid, LogPosition]) -> list[AccountRead]:
        """Return the accounts with the entries of this round. Visits beyond the round's entries get none.

        An account with an entry of another release is left as it is, and holds up nobody.
        """
        share, left = max(ENTRIES_PER_VISIT, ENTRIES_MAX // max(1, len(positions))), ENTRIES_MAX
        wanted = dict[Uid, Sequence[int]]()
        for visit in visits:
            if visit.uid in positions:
                wanted[visit.uid] = wanted_entries(positions[visit.uid], visit, min(share, left))
                left -= len(wanted[visit.uid])
        pages = {uid: page for uid, position in positions.items() if (page := page_to_extend(position)) is not None}
        paths = [entry_path(uid, seq) for uid, seqs in wanted.items() for seq in seqs]
        found = self._all([*pages.values(), *paths])
        reads: list[AccountRead] = []
        for visit in visits:
            if visit.uid not in positions:
                continue
            try:
                entries = _entries_in(found, visit.uid, wanted[visit.uid])
            except SchemaUnknown:
                log("log_entry_unknown", "ERROR", uid=visit.uid)
                continue
            extended = found.get(pages.get(visit.uid, ""))
            reads.append(
                AccountRead(
                    visit=visit, position=positions[visit.uid], wanted=wanted[visit.uid], entries=entries, page=extended
                )
            )
        return reads

    def _add_leaf(self, plan: RoundPlan, document: Document | None) -> None:
        """Add a typed leaf. A document without a leaf is left where it is, and holds up nobody."""
        try:
            if document is not None and self._is_of_ledger(stored_leaf(document)):
                add_leaf(plan, document)
            elif document is not None:
                plan.left_leaves[document.path] = "foreign"
        except (LogBroken, SchemaUnknown, RegistryBroken, UnknownKey) as error:
            assert document is not None, "a leaf that is gone is no error"
            plan.left_leaves[document.path] = error.code

    def _add_account(self, plan: RoundPlan, read: AccountRead) -> None:
        """Add the account. Any other failure than a broken law leaves the account as it is, and holds up nobody."""
        try:
            add_account(plan, read, self._check)
        except UnknownKey as error:
            log("log_key_unknown", "ERROR", uid=read.visit.uid, kid=str(error.params["kid"]))
        except Exception as error:  # noqa: BLE001  # one broken account must not hold up the log
            log_error("log_account_failed", error, uid=read.visit.uid)
            plan.left[read.visit.uid] = code_of(error)

    def _committed(self, plan: RoundPlan, stored: Document | None) -> RoundReport:
        """Commit the plan if there is something to write, and report. Raises the errors of `Documents.commit`."""
        if plan.writes:
            version = None if stored is None else stored.version
            try:
                self._documents.commit(plan.commit_writes(version, self._clock.now()), timeout_seconds=COMMIT_SECONDS)
            except PreconditionFailed:
                self._check_tiles(stored, plan)
                raise
        return RoundReport(
            size=plan.next_index,
            entries=sum(plan.moved.values()),
            moved=frozenset(plan.moved),
            rest=tuple(plan.rest),
            current=frozenset(plan.current),
            faults=plan.faults,
            parked=plan.parked,
            left=plan.left,
            left_leaves=plan.left_leaves,
            bodies={uid: entry.body for uid, entry in plan.last_entries.items()},
            is_committed=bool(plan.writes),
        )

    def _check_tiles(self, stored: Document | None, plan: RoundPlan) -> None:
        """Raise LogBroken if a tile that the plan makes is stored already, although the head is as it was read.

        The head was rolled back then: tiles are created with the head that follows them.
        """
        tiles = appended(plan.head, plan.hashes).tiles
        if self._all([tile_path(*place) for place in tiles]):
            self._check_head(stored, "tile")

    def _is_same_head(self, stored: Document | None) -> bool:
        """Return True if the head has not changed since it was read."""
        again = self._documents.get(HEAD_PATH)
        before, after = (None if each is None else each.version for each in (stored, again))
        return bool(before == after)

    def _check_head(self, stored: Document | None, rule: str, uid: Uid | None = None) -> None:
        """Raise LogBroken unless the head has changed since it was read. `uid`: the account whose position told."""
        if self._is_same_head(stored):
            told = "" if uid is None else f" The position of the account {uid} is newer."
            raise LogBroken(
                rule, f"The head of the log is older than its tiles and positions: it was rolled back.{told}"
            )

    def _all(self, paths: Iterable[str]) -> dict[str, Document]:
        """Return the documents that exist, by path."""
        wanted = list(paths)
        parts = [wanted[at : at + READ_TOGETHER] for at in range(0, len(wanted), READ_TOGETHER)]
        found = (document for part in parts for document in self._documents.get_all(part))
        return {document.path: document for document in found if document is not None}


def _books(stored: Document | None) -> LedgerBooks:
    """Return the books beside the head. Raises LogBroken if the sequencer did not write them so."""
    try:
        return stored_books(None if stored is None else stored.data.get("books"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LogBroken("head", "The books beside the head of the log cannot be read.") from error


class _HeadMoved(Exception):
    """A position that is newer than the head as read."""

    def __init__(self, uid: Uid) -> None:
        super().__init__()
        self.uid = uid


def _entries_in(found: Mapping[str, Document], uid: Uid, seqs: Sequence[int]) -> dict[int, StoredEntry]:
    """Return the entries that were found, by number. Raises SchemaUnknown."""
    paths = {seq: entry_path(uid, seq) for seq in seqs}
    return {seq: stored_entry(found[path]) for seq, path in paths.items() if path in found}
