"""A user leaves: barred at once, account closed, personal data erased, login deleted; the journal stays.

Every step can be repeated, and each finished step is recorded, so that the next `resume` continues after a crash. A
request that was under way may still write data. A second erasure removes that data, once no such request can be left.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from shared.kernel.clock import HOUR, MINUTE, SECOND, Clock, Millis, from_datetime, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import (
    Create,
    Document,
    Documents,
    PreconditionFailed,
    Put,
    Value,
)
from shared.kernel.due import DueList, DuePlace
from shared.kernel.errors import DomainError, code_of
from shared.kernel.events import Alerts, log
from shared.kernel.ids import Uid
from shared.sagas.accounts.account_closing import AccountClosing
from shared.sagas.accounts.first_sight import FirstSight
from shared.sagas.engine.leases import LeasedDocument, Leases
from shared.users.erasing import Erasable
from shared.users.ports import Identity
from shared.users.profiles import Profiles

LEASE_SECONDS = 120
"""Lease on one leaving, longer than a turn takes, so that a departure whose worker died waits two minutes.

A worker that is still at work then may overlap with the next one: each step can be repeated, and of two only the one
that has the lease records steps.
"""
SWEEP_DELAY: Millis = 15 * MINUTE
"""Delay of the sweep. No request from before the bar still runs: ten seconds of memory, nine minutes of call."""
LEAVE_SECONDS = 20.0
"""Seconds that a request or an event spends on a departure. The periodic job does the rest."""
DUE_LEAVINGS = DueList(collection="leavings")
BACKOFF: Millis = MINUTE
BACKOFF_MAX: Millis = HOUR
ALERT_EVERY_ATTEMPTS = 5
RECONCILE_PAGE = 100
GONE_MAX = 20
"""Most logins of one page that may be gone at once. If more are gone, and most of the page, a person must look."""

State = Literal["leaving", "done"]


@dataclass(frozen=True, slots=True)
class LeavingStep:
    """One step of a user's departure. `name` is the name under which the finished step is recorded.

    `do` works until the deadline, and returns True if the step is finished.
    """

    name: str
    do: "Callable[[Uid, Deadline, _Progress], bool]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    document: Document
    uid: Uid
    done: tuple[str, ...]
    attempts: int
    due_at: Millis
    barred_at: Millis | None
    erased: frozenset[str]


@dataclass(slots=True)
class _Progress:
    done: list[str]
    barred_at: Millis | None
    erased: set[str]
    """Names of the parts that the present erasure has finished."""
    attempts: int = 0
    """Turns in a row, before this one, in which a step failed."""
    failed: str | None = None
    is_cut_short: bool = False


class Leaving:
    """The saga by which a user leaves, stored in one document `leavings/{uid}` for each user.

    Unfinished documents carry `due_at`; finished ones do not.
    """

    def __init__(
        self,
        documents: Documents,
        closing: AccountClosing,
        identity: Identity,
        profiles: Profiles,
        first_sight: FirstSight,
        parts: Sequence[Erasable],
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._leases = Leases(documents, clock)
        self._closing = closing
        self._identity = identity
        self._profiles = profiles
        self._first_sight = first_sight
        self._parts = _named(parts)
        self._alerts = alerts
        self._clock = clock
        self._steps = (
            LeavingStep("bar", self._bar),
            LeavingStep("close_account", self._close_account),
            LeavingStep("erase", self._erase),
            LeavingStep("delete_login", self._delete_login),
        )
        self._sweep = LeavingStep("sweep", self._erase)

    def leave(self, uid: Uid, deadline: Deadline | None = None) -> State:
        """Begin the departure of a user, and do as many steps as possible now, until the deadline.

        Return `done`, or `leaving` if steps are left. Without a deadline the work takes LEAVE_SECONDS at most.

        The steps that are left are done by `resume`. Raises Unavailable if the departure could not be stored. Of two
        calls at once, one does the work.
        """
        leaving = self._begin(uid)
        if leaving is None:
            return "done"
        return self._advance(leaving, deadline or Deadline.within(self._clock, LEAVE_SECONDS)) or "leaving"

    def due(self, limit: int, after: DuePlace | None = None) -> list[Document]:
        """Return the departures that are due, behind `after`, the most overdue first.

        A departure is due if its worker crashed, if a step failed or was cut short, or if the last erasure is due.
        """
        return DUE_LEAVINGS.page(self._documents, self._clock.now(), limit, after)

    def resume(self, document: Document, deadline: Deadline) -> State | None:
        """Continue a departure that is due, until the deadline. Return None if another worker has the departure."""
        return self._advance(_leaving(document), deadline)

    def gone(self, *, after: Uid | None) -> tuple[Sequence[Uid], Uid | None]:
        """Return the users of a page whose login is gone, and the uid behind which the next page begins, None at the
        end.

        Events of deleted logins may be lost; this finds such users. If most logins of a page are gone, return no user,
        since a tenant may be missing from the settings, or the wrong project is asked.
        """
        page, onward = self._profiles.page(after=after, limit=RECONCILE_PAGE)
        active = [profile.uid for profile in page if not profile.is_closed]
        existing = self._identity.existing(active) if active else frozenset()
        gone = [uid for uid in active if uid not in existing]
        if len(gone) > GONE_MAX and len(gone) > len(active) // 2:
            self._alerts.alert("logins_gone_at_once", gone=len(gone), active=len(active), after=after or "")
            gone = []
        for uid in gone:
            log("login_found_gone", uid=uid)
        return gone, onward

    def _begin(self, uid: Uid) -> _Leaving | None:
        """Store that this user leaves, or find the stored leaving. Return None if the leaving is complete.

        The mark of the user's mailbox is stored too, since leaving erases the e-mail address.
        """
        path, now = f"leavings/{uid}", self._clock.now()
        data: Mapping[str, Value] = {
            "uid": uid,
            "asked_at": to_datetime(now),
            "due_at": to_datetime(now),
            "done": [],
            "attempts": 0,
        }
        document = self._documents.get(path)
        if document is None:
            data = {**data, "mailbox": self._closing.mailbox_mark(uid)}
            try:
                version = self._documents.commit([Create(path, data)])[0]
                log("leaving_begun", uid=uid)
                return _leaving(Document(path=path, data=data, version=version))
            except PreconditionFailed:
                document = self._documents.get(path)
        return _leaving(document) if document is not None and "due_at" in document.data else None

    def _advance(self, leaving: _Leaving, deadline: Deadline) -> State | None:
        """Do the remaining steps under a lease, until the deadline.

        Return None if another worker has the lease or nothing is due. Failures are recorded and tried again later,
        never raised.
        """
        leased = self._claim(leaving)
        if leased is None:
            return None
        progress = self._run(leaving, deadline)
        try:
            return self._remember(leased, leaving, progress)
        except DomainError as error:
            log("leaving_not_remembered", "WARNING", uid=leaving.uid, code=error.code)
            return "leaving"

    def _claim(self, leaving: _Leaving) -> LeasedDocument | None:
        """Claim a leaving that is due. Instances of an older version see the lease by the new `due_at` alone."""
        now = self._clock.now()
        if leaving.due_at > now:
            return None
        due_at = to_datetime(now + LEASE_SECONDS * SECOND)
        try:
            return self._leases.claim_read(leaving.document, LEASE_SECONDS, {"due_at": due_at})
        except DomainError as error:
            log("leaving_not_leased", uid=leaving.uid, code=error.code)
            return None

    def _run(self, leaving: _Leaving, deadline: Deadline) -> _Progress:
        """Do each step that is not done yet. Only the bar must come before all others, and the sweep after them."""
        progress = _Progress(
            done=list(leaving.done),
            barred_at=leaving.barred_at,
            erased=set(leaving.erased),
            attempts=leaving.attempts,
        )
        for step in self._steps:
            self._do(step, leaving.uid, deadline, progress)
            if progress.barred_at is None:
                if step.name not in progress.done:
                    return progress
                progress.barred_at = self._clock.now()
        if "erase" in progress.done and self._clock.now() >= _sweep_at(progress):
            self._do(self._sweep, leaving.uid, deadline, progress)
        return progress

    def _do(self, step: LeavingStep, uid: Uid, deadline: Deadline, progress: _Progress) -> None:
        if step.name in progress.done:
            return
        try:
            is_finished = step.do(uid, deadline, progress)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other data must go all the same
            progress.failed = code_of(error)
            log("leaving_step_failed", "ERROR", uid=uid, step=step.name, code=progress.failed)
        else:
            if is_finished:
                progress.done.append(step.name)
            else:
                progress.is_cut_short = True

    def _remember(self, leased: LeasedDocument, leaving: _Leaving, progress: _Progress) -> State:
        """Store the finished steps and free the lease. If another worker has taken over, store nothing.

        Raises LeaseLost, PreconditionFailed, OutcomeUnknown, StoreUnavailable.
        """
        path, now = leaving.document.path, self._clock.now()
        if {step.name for step in (*self._steps, self._sweep)} <= set(progress.done):
            kept = {name: leaving.document.data.get(name) for name in ("uid", "asked_at", "mailbox")}
            finished = {**kept, "done": progress.done, "done_at": to_datetime(now)}
            self._documents.commit([Put(path, finished, leased.document.version)])
            log("user_left", uid=leaving.uid)
            return "done"
        attempts = 0 if progress.failed is None else leaving.attempts + 1
        if progress.failed is not None and attempts % ALERT_EVERY_ATTEMPTS == 0:
            self._alerts.alert("leaving_stuck", uid=leaving.uid, attempts=attempts, code=progress.failed)
        if progress.failed:
            due_at = now + min(BACKOFF << min(attempts, 10), BACKOFF_MAX)
        else:
            due_at = now if progress.is_cut_short else _sweep_at(progress)
        fields: dict[str, Value] = {
            "done": progress.done,
            "attempts": attempts,
            "due_at": to_datetime(due_at),
            "erased": sorted(progress.erased),
        }
        if progress.barred_at is not None:
            fields["barred_at"] = to_datetime(progress.barred_at)
        leased.free(fields)
        return "leaving"

    def _bar(self, uid: Uid, _: Deadline, __: _Progress) -> bool:
        """Bar the user: tokens of this user are refused from now on, and the profile is a tombstone."""
        self._profiles.erase(uid)
        self._first_sight.forget_caller(uid)
        return True

    def _close_account(self, uid: Uid, _: Deadline, __: _Progress) -> bool:
        leaving = self._documents.get(f"leavings/{uid}")
        mailbox = None if leaving is None else leaving.data.get("mailbox")
        self._closing.close(uid, mailbox if isinstance(mailbox, str) else None)
        return True

    def _delete_login(self, uid: Uid, _: Deadline, __: _Progress) -> bool:
        self._identity.delete_user(uid)
        return True

    def _erase(self, uid: Uid, deadline: Deadline, progress: _Progress) -> bool:
        """Erase the parts that are not finished, until the deadline, and return True if nothing is left.

        A part that fails holds up no other part, also if the part takes the whole time to fail: each further turn
        begins with another part. Raises the first error of a part.
        """
        failures = list[Exception]()
        parts = deque(self._parts.items())
        parts.rotate(-progress.attempts)
        for name, part in parts:
            if name in progress.erased:
                continue
            try:
                if part.erase(uid, deadline):
                    progress.erased.add(name)
            except Exception as error:  # noqa: BLE001  # the other parts must go all the same
                failures.append(error)
            if deadline.is_over():
                break
        if failures:
            raise failures[0]
        if not self._parts.keys() <= progress.erased:
            return False
        progress.erased.clear()
        return True


def _named(parts: Sequence[Erasable]) -> Mapping[str, Erasable]:
    """Return the parts by names that stay the same when other parts are added."""
    named: dict[str, Erasable] = {}
    for part in parts:
        kind = type(part).__name__
        named[f"{kind}:{sum(name.startswith(f'{kind}:') for name in named)}"] = part
    return named


def _leaving(document: Document) -> _Leaving:
    data = document.data
    barred_at = data.get("barred_at")
    return _Leaving(
        document=document,
        uid=Uid(document.id),
        done=tuple(cast("Sequence[str]", data["done"])),
        attempts=cast("int", data["attempts"]),
        due_at=from_datetime(cast("datetime", data["due_at"])),
        barred_at=from_datetime(barred_at) if isinstance(barred_at, datetime) else None,
        erased=frozenset(cast("Sequence[str]", data.get("erased", ()))),
    )


def _sweep_at(progress: _Progress) -> Millis:
    assert progress.barred_at is not None, "nothing is swept before the user is barred"
    return progress.barred_at + SWEEP_DELAY
