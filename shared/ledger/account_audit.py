"""Audit of one account in turns: new entries from the last position on, and a part of the older entries again.

The position is stored after every page, so that a killed audit continues there. Older entries are verified again by
their signatures and links, each at least once in `SAMPLE_TURNS` complete turns.
"""

from collections.abc import Mapping

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, OutcomeUnknown, PreconditionFailed, StoreUnavailable, Version
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData, SchemaUnknown
from shared.ledger.archive_store import Archives
from shared.ledger.audit_pages import PositionUnusable
from shared.ledger.audit_position import AuditPosition, AuditPositions
from shared.ledger.audit_turn import SAMPLE_TURNS, AccountTurn, AuditParts, AuditSizes, AuditTurn, seq_in
from shared.ledger.errors import IntegrityFailed, UnknownKey
from shared.ledger.findings import Finding
from shared.ledger.key_ring import KeyRing
from shared.ledger.markers import marker_path
from shared.ledger.positions import position_path
from shared.ledger.record_seals import RecordSeals
from shared.ledger.redaction_store import Redactions
from shared.ledger.store import AccountStore

__all__ = ["FOLDED_RULES", "SAMPLE_TURNS", "SIZES", "UNREAD_RULES", "AccountAudits", "AuditSizes", "AuditTurn"]

FOLDED_RULES = frozenset({"postings", "balance_after", "state"})
"""Laws that depend on the stored fold. A finding of these alone is confirmed from the first entry."""


SIZES = AuditSizes()
UNREAD_RULES = frozenset({"unknown_key", "schema_unknown", "unreadable"})
"""Findings that say why an account could not be audited, and not that somebody changed the account."""


class AccountAudits:
    """Audits of all accounts. Safe to share between threads and instances: of two turns at once, one stores."""

    def __init__(
        self,
        documents: Documents,
        keys: KeyRing,
        ledger: str,
        alerts: Alerts | None = None,
        sizes: AuditSizes = SIZES,
    ) -> None:
        self._documents = documents
        self._alerts = alerts
        self._ledger = ledger
        self._positions = AuditPositions(documents, keys, ledger)
        self._parts = AuditParts(
            documents=documents,
            store=AccountStore(documents, keys, ledger),
            positions=self._positions,
            keys=keys,
            records=RecordSeals(keys, ledger),
            redactions=Redactions(documents, keys, ledger),
            archives=Archives(documents, keys, ledger),
            sizes=sizes,
        )

    def audit(self, uid: Uid, deadline: Deadline) -> AuditTurn:
        """Verify the account from its position on until the deadline, and at least one page. See `AuditTurn`.

        A position that cannot be used is left aside, and the audit begins at the first entry. The same holds after a
        finding that depends on the stored fold. Documents of a stranger end the audit with a finding, and no work
        depends on a stored number. Raises PreconditionFailed if another worker audits the account, and the errors of
        the store.
        """
        try:
            return self._audit(uid, deadline)
        except IntegrityFailed as failure:
            return _found(uid, int(failure.params["seq"]), str(failure.params["rule"]), failure.detail)
        except (SchemaUnknown, UnknownKey) as error:
            return _found(uid, 0, error.code, error.detail)
        except (PreconditionFailed, StoreUnavailable, OutcomeUnknown):
            raise
        except Exception as error:  # noqa: BLE001  # a document of a stranger must not end the audit of all accounts
            log_error("audit_failed", error, uid=uid)
            return _found(uid, 0, "unreadable", type(error).__name__)

    def _audit(self, uid: Uid, deadline: Deadline) -> AuditTurn:
        known = self._positions.read(uid)
        seen = max(known.position.account.seq, self._announced(uid))
        if known.refused:
            self._refused(uid, known.refused)
        try:
            turn = self._turn(known.position, known.version, seen).run(deadline)
        except PositionUnusable as error:
            self._refused(uid, error.reason)
            return self._from_the_start(uid, seen, deadline)
        is_confirmed = known.position.account.seq == 0 or {each.rule for each in turn.findings} - FOLDED_RULES
        if turn.findings and not is_confirmed:
            log("audit_begins_again", "WARNING", uid=uid, seq=turn.findings[0].seq, rule=turn.findings[0].rule)
            return self._from_the_start(uid, seen, deadline)
        return turn

    def _turn(self, position: AuditPosition, version: Version | None, seen: int) -> AccountTurn:
        return AccountTurn(self._parts, position, version, seen)

    def _announced(self, uid: Uid) -> int:
        """Return the number of entries that were announced, published or added up: the account had as many once.

        Documents that cannot be read tell nothing here, and are findings of the turn.
        """
        found = self._documents.get_all([marker_path(uid), position_path(uid)])
        marker, relay = ({} if each is None or isinstance(each.data, RefusedData) else each.data for each in found)
        published = relay.get("relay")
        return max(seq_in(marker), seq_in(relay), seq_in(published if isinstance(published, Mapping) else {}))

    def _refused(self, uid: Uid, reason: str) -> None:
        """Log that a position is not used, and tell operators if the ledger did not write the documents."""
        log("audit_position_refused", "WARNING", uid=uid, reason=reason)
        if self._alerts is not None and reason in {"forged", "damaged"}:
            self._alerts.alert("integrity_failed", uid=uid, seq=0, rule="audit_position")

    def _from_the_start(self, uid: Uid, seen: int, deadline: Deadline) -> AuditTurn:
        """Verify the account from the first entry on, in place of the stored position."""
        version, first = self._positions.read(uid).version, AuditPosition.first(self._ledger, uid)
        return self._turn(first, version, seen).run(deadline)


def _found(uid: Uid, seq: int, rule: str, detail: str) -> AuditTurn:
    return AuditTurn(findings=(Finding(uid=uid, seq=max(seq, 0), rule=rule, detail=detail),))
