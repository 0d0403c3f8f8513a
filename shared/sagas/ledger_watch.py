"""The watch over the journal: what was changed behind the ledger's back raises an alarm and stops the account."""

from shared.kernel.clock import HOUR, Clock
from shared.kernel.documents import Create, Documents, PreconditionFailed, Put
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.kernel.ids import Uid, operation_id
from shared.ledger.about import about
from shared.ledger.commands import Freeze
from shared.ledger.ledger import Ledger
from shared.ledger.relay import Relay

FREEZES_PER_HOUR_MAX = 20
"""More than this is a fault of ours or an attack on everyone; freezing all users would finish its work."""
BREAKER_PATH = "jobs/freeze_breaker"


class LedgerWatch:
    """Reacts to what happened to documents of the journal, and to what audits find."""

    def __init__(self, documents: Documents, ledger: Ledger, relay: Relay, alerts: Alerts, clock: Clock) -> None:
        self._documents = documents
        self._ledger = ledger
        self._relay = relay
        self._alerts = alerts
        self._clock = clock

    def entry_written(self, uid: Uid, seq: int, *, is_new: bool) -> None:
        """An entry's document was written. A new one is verified and relayed; a changed or deleted one is tampering."""
        if not is_new:
            self.found(uid, seq, "entry_changed")
            return
        rule = self._ledger.broken_rule(uid, seq)
        if rule is not None:
            self.found(uid, seq, rule)
        else:
            self._relay.relay(uid)

    def found(self, uid: Uid, seq: int, rule: str) -> None:
        """Tell operators, and freeze the account unless too many were frozen lately. Telling twice changes nothing."""
        is_frozen = self._may_freeze() and self._freeze(uid, seq, rule)
        self._alerts.alert("ledger_tampered", uid=uid, seq=seq, rule=rule, is_frozen=is_frozen)

    def _freeze(self, uid: Uid, seq: int, rule: str) -> bool:
        operation = operation_id("watch", uid, str(seq), rule)
        try:
            self._ledger.execute(uid, Freeze(operation=operation, fingerprint="", about=about("adjustment")))
        except DomainError as error:
            log("account_not_frozen", "ERROR", uid=uid, seq=seq, rule=rule, code=error.code)
            return False
        return True

    def _may_freeze(self) -> bool:
        """The circuit breaker: counts this freeze, and says no once an hour has seen too many."""
        hour = self._clock.now() // HOUR
        while True:
            known = self._documents.get(BREAKER_PATH)
            count = known.data["count"] if known is not None and known.data["hour"] == hour else 0
            if not isinstance(count, int) or count >= FREEZES_PER_HOUR_MAX:
                self._alerts.alert("freeze_breaker_open", hour=hour, limit=FREEZES_PER_HOUR_MAX)
                return False
            data = {"hour": hour, "count": count + 1}
            write = Create(BREAKER_PATH, data) if known is None else Put(BREAKER_PATH, data, known.version)
            try:
                self._documents.commit([write])
            except PreconditionFailed:
                continue
            return True
