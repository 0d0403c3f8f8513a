"""Operators' view of alerts: a list, and acts with a reason, on record."""

from collections.abc import Sequence

from shared.kernel.alert_book import COLLECTION, change_alert
from shared.kernel.alert_records import AlertRecord, AlertState, changed, record_in
from shared.kernel.clock import Clock, Millis, to_datetime
from shared.kernel.documents import Documents, Order, Query, Value, Where
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.ids import is_safe_id
from shared.users.audit import AuditTrail
from shared.users.operator_acts import AdminCheck
from shared.users.principal import Principal

ALERTS_PAGE_MAX = 100


class AlertNotFound(NotFound):
    """Error for an id that no stored alert has."""

    code = "alert_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such alert.")


class AlertIsOver(Conflict):
    """Error for the acknowledgement of an alert that is resolved."""

    code = "alert_is_over"

    def __init__(self) -> None:
        super().__init__("This alert is resolved. If the trouble comes again, the alert opens again.")


class AlertDesk:
    """Alerts as operators read and end them."""

    def __init__(self, documents: Documents, audit: AuditTrail, check: AdminCheck, clock: Clock) -> None:
        self._documents = documents
        self._audit = audit
        self._check = check
        self._clock = clock

    def page(
        self, state: AlertState | None, *, limit: int, after: tuple[Millis, str] | None
    ) -> tuple[Sequence[AlertRecord], tuple[Millis, str] | None]:
        """Return alerts in this state, in any state if None, those seen last first, and the place behind the page.

        The place is None on the last page.
        """
        size = max(1, min(limit, ALERTS_PAGE_MAX))
        behind: tuple[Value, ...] | None = after and (to_datetime(after[0]), f"{COLLECTION}/{after[1]}")
        found = self._documents.query(
            Query(
                collection=COLLECTION,
                where=(Where("state", "==", state),) if state else (),
                order_by=(Order("last_seen", descending=True),),
                after=behind,
                limit=size + 1,
            )
        )
        records = [record_in(each.data) for each in found[:size]]
        return records, (records[-1].last_seen, records[-1].id) if len(found) > size else None

    def read(self, alert: str) -> AlertRecord:
        """Return the alert with this id. Raises AlertNotFound."""
        document = self._documents.get(f"{COLLECTION}/{alert}") if is_safe_id(alert) else None
        if document is None:
            raise AlertNotFound
        return record_in(document.data)

    def acknowledge(self, actor: Principal, alert: str, reason: str) -> AlertRecord:
        """Say that somebody looks after the alert, and return the alert. Raises AlertNotFound or AlertIsOver.

        An alert that is acknowledged keeps the first operator and reason.
        """
        return self._act(actor, "acknowledge_alert", alert, reason, "acknowledged")

    def resolve(self, actor: Principal, alert: str, reason: str) -> AlertRecord:
        """Say that the trouble is over, and return the alert. Raises AlertNotFound.

        An alert that is resolved keeps the first operator and reason.
        """
        return self._act(actor, "resolve_alert", alert, reason, "resolved")

    def _act(self, actor: Principal, act: str, alert: str, reason: str, state: AlertState) -> AlertRecord:
        self._check.require_admin(actor)
        before = self.read(alert)
        with self._audit.recording(actor.uid, act, alert, reason=reason, before={"state": before.state}) as doing:
            after = change_alert(
                self._documents, alert, lambda found: _changed(found, state, actor.uid, reason, self._clock.now())
            )
            if after is None:
                raise AlertNotFound
            doing.after = {"state": after.state}
        return after


def _changed(found: AlertRecord | None, state: AlertState, by: str, reason: str, now: Millis) -> AlertRecord | None:
    """Return the alert after an operator's act, None for no change. Raises AlertIsOver."""
    if found is None or found.state == state:
        return None
    if found.state == "resolved":
        raise AlertIsOver
    return changed(found, state, by, reason, now)
