"""The watch over the journal: publishes verified entries, and freezes an account after a foreign change."""

from collections.abc import Callable
from contextlib import suppress

from shared.kernel.clock import HOUR, Clock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.kernel.schemas import RefusedData, SchemaUnknown
from shared.ledger.about import about
from shared.ledger.commands import Freeze
from shared.ledger.errors import IntegrityFailed, UnknownKey
from shared.ledger.ledger import Ledger
from shared.ledger.redaction_store import Redactions
from shared.ledger.relay import Relay

FREEZES_PER_HOUR_MAX = 20
"""Most accounts that are frozen in one hour. More freezes point to a fault in our code or an attack on all users.

Freezing all users would complete such an attack. An account counts once an hour, and not if freezing fails.
"""
COUNT_ATTEMPTS_MAX = 50
"""Most attempts to count an account in the breaker's document, which all instances write."""
DERIVED_RULES = frozenset({"usage", "relay_position", "marker", "note"})
"""Laws about documents that follow from the journal. No credits depend on these documents, so nothing is frozen."""
BREAKER_PATH = "jobs/freeze_breaker"


class LedgerWatch:
    """The reaction to changed journal documents, and to the findings of audits."""

    def __init__(  # the ports, and what the ledger knows of archives
        self,
        documents: Documents,
        ledger: Ledger,
        relay: Relay,
        alerts: Alerts,
        clock: Clock,
        is_archived: Callable[[Uid, int], bool] = lambda *_: False,
    ) -> None:
        """Make the watch. `is_archived` tells whether the ledger moved this entry to the bucket."""
        self._is_archived = is_archived
        self._documents = documents
        self._ledger = ledger
        self._relay = relay
        self._alerts = alerts
        self._clock = clock

    @property
    def redactions(self) -> Redactions:
        """Reader of the entries whose bodies were deleted."""
        return self._ledger.redactions

    def relay(self, uid: Uid, marker: Document | None = None, deadline: Deadline | None = None) -> None:
        """Verify and publish the account's new entries; see `Relay.relay`. An entry that breaks a law is tampering."""
        try:
            self._relay.relay(uid, marker, deadline)
        except IntegrityFailed as failure:
            self.found(uid, int(failure.params["seq"]), str(failure.params["rule"]))

    def entry_changed(self, uid: Uid, seq: int) -> None:
        """Handle a changed or deleted document of an entry.

        The ledger deletes none, and changes one only if an operator has the body deleted. Then the log names the
        snapshot in the body's place. Raises UnknownKey, StoreUnavailable.
        """
        if self._ledger.redactions.is_rightful(uid, seq):
            log("entry_redacted", uid=uid, seq=seq)
            return
        self.found(uid, seq, "entry_changed")

    def entry_deleted(self, uid: Uid, seq: int) -> None:
        """Handle a deleted document of an entry.

        The ledger deletes one if an operator has the journal archived. Then the log names the archive, and the bucket
        has the entry. A late event may find the document back in its place. Raises UnknownKey, StoreUnavailable.
        """
        is_back = self._ledger.archives.was_archived(uid) and self._ledger.has_entry(uid, seq)
        if is_back or self._is_archived(uid, seq):
            log("entry_archived", uid=uid, seq=seq)
            return
        self.entry_changed(uid, seq)

    def found(self, uid: Uid, seq: int, rule: str) -> None:
        """Alert operators, and freeze the account unless too many were frozen lately.

        A repeated call freezes once, and an account counts once an hour, since the relay finds a broken entry in every
        run. A broken document that follows from the journal freezes nothing.
        """
        is_frozen = rule not in DERIVED_RULES and self._is_frozen(uid, seq, rule)
        self._alerts.alert("ledger_tampered", uid=uid, seq=seq, rule=rule, is_frozen=is_frozen)

    def lost(self, uid: Uid, seq: int, rule: str) -> None:
        """Alert operators of an account whose document is gone.

        Nothing is frozen: that would begin a new journal in the place of the lost one.
        """
        self._alerts.alert("ledger_tampered", uid=uid, seq=seq, rule=rule, is_frozen=False)

    def not_audited(self, uid: Uid, seq: int, reason: str) -> None:
        """Alert operators of an account that cannot be audited. Nothing says that somebody changed the account."""
        self._alerts.alert("account_not_audited", uid=uid, seq=seq, reason=reason)

    def _is_frozen(self, uid: Uid, seq: int, rule: str) -> bool:
        """Freeze the account, and return True if the account is frozen for this finding."""
        operation = operation_id("watch", uid, str(seq), rule)
        if self._is_done(uid, operation):
            return True
        if not self._may_freeze(uid):
            return False
        is_frozen = self._freeze(uid, seq, rule, operation)
        if not is_frozen:
            self._change_breaker(lambda uids: uids - {uid})
        return is_frozen

    def _is_done(self, uid: Uid, operation: OperationId) -> bool:
        """Return True if the ledger has done the operation. A record that cannot be read counts as none."""
        try:
            return self._ledger.is_done(uid, operation)
        except (IntegrityFailed, SchemaUnknown, UnknownKey):
            return False

    def _freeze(self, uid: Uid, seq: int, rule: str, operation: OperationId) -> bool:
        try:
            self._ledger.execute(uid, Freeze(operation=operation, about=about("adjustment")))
        except DomainError as error:
            log("account_not_frozen", "ERROR", uid=uid, seq=seq, rule=rule, code=error.code)
            return False
        return True

    def _may_freeze(self, uid: Uid) -> bool:
        """Count this account, and return False once the hour has seen too many accounts (the circuit breaker)."""
        uids = self._change_breaker(lambda known: known | {uid} if len(known) < FREEZES_PER_HOUR_MAX else known)
        if uid in uids:
            return True
        self._alerts.alert("freeze_breaker_open", hour=self._clock.now() // HOUR, limit=FREEZES_PER_HOUR_MAX)
        return False

    def _change_breaker(self, change: Callable[[frozenset[str]], frozenset[str]]) -> frozenset[str]:
        """Change the accounts that count in this hour, and return these accounts. Raises PreconditionFailed."""
        hour = self._clock.now() // HOUR
        for _ in range(COUNT_ATTEMPTS_MAX):
            known = self._documents.get(BREAKER_PATH)
            before = _counted(known, hour)
            after = change(before)
            if after == before:
                return after
            data: Data = {"hour": hour, "count": len(after), "uids": sorted(after)}
            write = Create(BREAKER_PATH, data) if known is None else Put(BREAKER_PATH, data, known.version)
            with suppress(PreconditionFailed):
                self._documents.commit([write])
                return after
        raise PreconditionFailed


def _counted(breaker: Document | None, hour: int) -> frozenset[str]:
    """Return the accounts that count in this hour. A document that a stranger has written counts nobody.

    An early release stored the number of accounts alone: then each has a name that no user has.
    """
    if breaker is None or isinstance(breaker.data, RefusedData) or breaker.data.get("hour") != hour:
        return frozenset()
    count, uids = breaker.data.get("count"), breaker.data.get("uids")
    if uids is None and isinstance(count, int):
        return frozenset(f"/{number}" for number in range(min(count, FREEZES_PER_HOUR_MAX)))
    return frozenset(uid for uid in uids if isinstance(uid, str)) if isinstance(uids, list) else frozenset()
