"""The watch over the journal: publishes verified entries, and freezes an account after a foreign change."""

from shared.kernel.clock import HOUR, Clock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.ledger.about import about
from shared.ledger.commands import Freeze
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.relay import Relay

FREEZES_PER_HOUR_MAX = 20
"""Most accounts that are frozen in one hour. More freezes point to a fault in our code or an attack on all users.

Freezing all users would complete such an attack.
"""
BREAKER_PATH = "jobs/freeze_breaker"


class LedgerWatch:
    """The reaction to changed journal documents, and to the findings of audits."""

    def __init__(self, documents: Documents, ledger: Ledger, relay: Relay, alerts: Alerts, clock: Clock) -> None:
        self._documents = documents
        self._ledger = ledger
        self._relay = relay
        self._alerts = alerts
        self._clock = clock

    def relay(self, uid: Uid, marker: Document | None = None, deadline: Deadline | None = None) -> None:
        """Verify and publish the account's new entries; see `Relay.relay`. An entry that breaks a law is tampering."""
        try:
            self._relay.relay(uid, marker, deadline)
        except IntegrityFailed as failure:
            self.found(uid, int(failure.params["seq"]), str(failure.params["rule"]))

    def entry_changed(self, uid: Uid, seq: int) -> None:
        """Handle a changed or deleted document of an entry, since the ledger changes and deletes none."""
        self.found(uid, seq, "entry_changed")

    def found(self, uid: Uid, seq: int, rule: str) -> None:
        """Alert operators, and freeze the account unless too many were frozen lately.

        A repeated call freezes once, and an account counts once an hour, since the relay finds a broken entry in every
        run, also in an account that cannot be frozen.
        """
        operation = operation_id("watch", uid, str(seq), rule)
        is_frozen = self._is_done(uid, operation) or (self._may_freeze(uid) and self._freeze(uid, seq, rule, operation))
        self._alerts.alert("ledger_tampered", uid=uid, seq=seq, rule=rule, is_frozen=is_frozen)

    def _is_done(self, uid: Uid, operation: OperationId) -> bool:
        """Return True if the ledger has done the operation. A record that the ledger did not write counts as none."""
        try:
            return self._ledger.is_done(uid, operation)
        except IntegrityFailed:
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
        hour = self._clock.now() // HOUR
        while True:
            known = self._documents.get(BREAKER_PATH)
            count, uids = _counted(known, hour)
            if uid in uids:
                return True
            if count >= FREEZES_PER_HOUR_MAX:
                self._alerts.alert("freeze_breaker_open", hour=hour, limit=FREEZES_PER_HOUR_MAX)
                return False
            data: Data = {"hour": hour, "count": count + 1, "uids": [*uids, uid]}
            write = Create(BREAKER_PATH, data) if known is None else Put(BREAKER_PATH, data, known.version)
            try:
                self._documents.commit([write])
            except PreconditionFailed:
                continue
            return True


def _counted(breaker: Document | None, hour: int) -> tuple[int, list[str]]:
    """Return the number of freezes in this hour, and the accounts. Earlier releases stored no accounts."""
    if breaker is None or breaker.data["hour"] != hour:
        return 0, []
    count, uids = breaker.data["count"], breaker.data.get("uids")
    assert isinstance(count, int), "the breaker stores a number"
    return count, [str(uid) for uid in uids] if isinstance(uids, list) else []
