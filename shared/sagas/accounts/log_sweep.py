"""The job `log`: appends the entries of waiting accounts to the log, at most one commit a second.

An account is visited once in a run. Its marker is cleared in the run after, if nothing came meanwhile. So an account in
use costs one write for each visit, and not two.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import orjson

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis
from shared.kernel.documents import Document, Documents
from shared.kernel.events import Alerts, log
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData
from shared.ledger.account_documents import uid_of
from shared.ledger.log.head import EMPTY_HEAD, LogBroken
from shared.ledger.log.rounds import Visit
from shared.ledger.log.sequencer import LEAVES_MAX, VISITS_MAX, RoundReport, Sequencer
from shared.ledger.log.signer import AnchorGate
from shared.ledger.log.tile_reader import read_head
from shared.ledger.log.typed_leaves import is_typed_leaf
from shared.ledger.log.waiting import (
    Place,
    clear_markers,
    is_older,
    leaf_paths,
    place_of,
    visits_of,
    waiting_documents,
)
from shared.ledger.markers import RELAY, SILENT_KINDS, is_any_news, is_waiting
from shared.sagas.accounts.log_walk import LogWalk, read_cursor
from shared.sagas.accounts.relay_sweep import NEWS
from shared.sagas.engine.jobs import JobRun

PACE: Millis = SECOND
"""Least time between two commits of the head."""
LAG_MAX: Millis = 10 * MINUTE
"""Age of an entry that ends a call, when the log gets the entry, beyond which operators are alerted."""
WALK_SHARE = 50
"""Accounts of the walk in a round. The others wait, and come first in three of four rounds."""
WALK_FIRST_EVERY = 4


LOG_GREW = "log_grew"
"""Name of the answer that this job leaves to the job `checkpoint`. Without an answer the head may have grown."""


class LogSweep:
    """The job that keeps the log up with the ledger.

    `gate` refuses a head that is older than the signed one, as a restored database has; None checks nothing.
    """

    def __init__(
        self,
        documents: Documents,
        sequencer: Sequencer,
        alerts: Alerts,
        clock: Clock,
        gate: Callable[[], AnchorGate] | None = None,
    ) -> None:
        self._gate = gate
        self._documents = documents
        self._sequencer = sequencer
        self._alerts = alerts
        self._is_behind = False
        self._clock = clock

    def sweep(self, run: JobRun) -> None:
        """Append all that waited before this run, then go on with the walk, until the run is over.

        Reads one document if nothing waits, which the job
        `relay` reads too. A broken log alerts operators. Raises
        LogBusy, StoreUnavailable.
        """
        cursor, now = read_cursor(run.cursor), self._clock.now()
        is_news = run.looks.once(NEWS, partial(is_any_news, self._documents))
        if not (is_news or cursor.is_walking(now)):
            run.cursor = replace(cursor, place=None).text()
            run.looks.once(LOG_GREW, lambda: False)
            return
        turn = _LogTurn(
            documents=self._documents,
            sequencer=self._sequencer,
            alerts=self._alerts,
            clock=self._clock,
            waiting=_WaitingPass(self._documents, cursor.place, now),
            walk=LogWalk(self._documents, cursor, now),
        )
        try:
            if self._gate is not None:
                self._gate().require_newest(read_head(self._documents) or EMPTY_HEAD)
            while not run.is_over() and turn.round():
                pass
        except LogBroken as error:
            self._alerts.alert("log_broken", rule=str(error.params["rule"]), detail=error.detail)
        finally:
            self._tell_lag(turn.lag)
            run.done += turn.entries
            run.cursor = replace(turn.walk.cursor, place=turn.waiting.place).text()

    def _tell_lag(self, lag: Millis) -> None:
        """Alert operators of a late log, and end the alert when this instance sees that the log has caught up."""
        if lag > LAG_MAX:
            self._alerts.alert("log_behind", lag_ms=lag)
        elif self._is_behind:
            self._alerts.resolve("log_behind")
        self._is_behind = lag > LAG_MAX


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class _LogTurn:
    """Rounds of one run."""

    documents: Documents
    sequencer: Sequencer
    alerts: Alerts
    clock: Clock
    waiting: "_WaitingPass"
    walk: LogWalk
    rest: list[Visit] = field(default_factory=list)
    entries: int = 0
    rounds: int = 0
    lag: Millis = 0
    next_commit_at: float = 0.0

    def round(self) -> bool:
        """Do one round. Return False if nothing was left to do."""
        share = min(WALK_SHARE, VISITS_MAX - len(self.rest))
        walked = [] if self.walk.is_over() else self.walk.next(share)
        found = self.waiting.next(VISITS_MAX - len(walked) - len(self.rest))
        waiting = [*self.rest, *visits_of(found)]
        visits, leaves = self._in_order(waiting, walked), leaf_paths(found)
        if not visits and not leaves:
            return not (self.walk.is_over() and self.waiting.is_over())
        report = self._append(visits, leaves)
        self._clear(found, report)
        self._report(report, {visit.uid for visit in walked})
        left = {visit.uid for visit in report.rest}
        self.rest = [visit for visit in waiting if visit.uid in left]
        self.walk.done(walked, report.rest)
        return True

    def _in_order(self, waiting: Sequence[Visit], walked: Sequence[Visit]) -> list[Visit]:
        """Return each account's visit once. The walk comes first in some rounds, so that it ends under load too."""
        self.rounds += 1
        is_walk_first = self.rounds % WALK_FIRST_EVERY == 0
        ordered = (*walked, *waiting) if is_walk_first else (*waiting, *walked)
        visits: dict[Uid, Visit] = {}
        for visit in ordered:
            other = visits.get(visit.uid, visit)
            visits[visit.uid] = replace(visit, seq=max(visit.seq, other.seq), logged=max(visit.logged, other.logged))
        return list(visits.values())

    def _append(self, visits: Sequence[Visit], leaves: Sequence[str]) -> RoundReport:
        """Append, not before a second after the last commit."""
        early = self.next_commit_at - self.clock.monotonic()
        if early > 0:
            self.clock.wait(early)
        report = self.sequencer.append(visits, leaves)
        if report.is_committed:
            self.next_commit_at = self.clock.monotonic() + PACE / SECOND
        self.entries += report.entries
        return report

    def _clear(self, found: Sequence[Document], report: RoundReport) -> None:
        """Clear the markers of accounts that the log has up to the marker, and of parked accounts.

        A marker that the relay has not cleared stays for later, so that the look of both finds the marker.
        """
        parked = report.parked.keys() | report.faults.keys()
        known = report.current | parked
        readable = [each for each in found if not isinstance(each.data, RefusedData)]
        markers = [each for each in readable if not is_typed_leaf(each.path) and uid_of(each.path) in known]
        clear_markers(self.documents, [each for each in markers if not is_waiting(each.data, RELAY)], parked)

    def _report(self, report: RoundReport, walked: Container[Uid]) -> None:
        """Alert operators of accounts that are parked now, and once a walk of those that were parked before."""
        for uid, fault in (report.faults | report.parked).items():
            if uid in report.faults or uid in walked:
                self.alerts.alert("log_account_parked", uid=uid, seq=fault.seq, rule=fault.rule)
            else:
                log("log_account_still_parked", "ERROR", uid=uid, seq=fault.seq, rule=fault.rule)
        for uid, code in report.left.items():
            self.alerts.alert("log_account_left", uid=uid, code=code)
        for path, code in report.left_leaves.items():
            self.alerts.alert("log_leaf_left", leaf=path.rpartition("/")[2], code=code)
        if report.is_committed:
            times = (_told_at(body) for uid, body in report.bodies.items() if uid not in walked)
            lag = max((self.clock.now() - at for at in times if at), default=0)
            self.lag = max(self.lag, lag)
            log("log_sequenced", size=report.size, entries=report.entries, accounts=len(report.moved), lag_ms=lag)


class _WaitingPass:
    """Pass over the waiting documents from before `before` (ms), from the place where the last run ended.

    A pass that did not begin at the first document is followed by another that does. Each account comes once.
    """

    def __init__(self, documents: Documents, place: Place | None, before: Millis) -> None:
        self._documents = documents
        self._before = before + 1
        self._is_whole = place is None
        self._is_over = False
        self._seen: set[str] = set()
        self.place = place

    def is_over(self) -> bool:
        """Return True after a whole pass."""
        return self._is_over

    def next(self, limit: int) -> list[Document]:
        """Return the next documents, at most `limit`, with at most 20 typed leaves."""
        if self._is_over or limit < 1:
            return []
        found = waiting_documents(self._documents, self.place, limit)
        taken = self._without_too_many_leaves(found)
        self.place = place_of(taken[-1]) if taken else self.place
        if len(found) < limit and len(taken) == len(found):
            self.place, self._is_over, self._is_whole = None, self._is_whole, True
        fresh = [each for each in taken if each.path not in self._seen and is_older(each, self._before)]
        self._seen.update(each.path for each in fresh)
        return fresh

    def _without_too_many_leaves(self, found: Sequence[Document]) -> list[Document]:
        leaves = leaf_paths(found)
        if len(leaves) <= LEAVES_MAX:
            return list(found)
        return list(found[: [each.path for each in found].index(leaves[LEAVES_MAX])])


def _told_at(body: str) -> Millis:
    """Return the time (ms) of an entry that ends a call, 0 for an entry within a call."""
    entry = orjson.loads(body)
    return 0 if entry["kind"] in SILENT_KINDS else int(entry["at"])
