"""Dead events: list those that failed for too long, and handle one again once the cause is removed."""

from contextlib import AbstractContextManager
from importlib import import_module

from functions.edge import REDELIVERIES, DeadEvent, MalformedEvent
from shared.bootstrap import Services
from shared.kernel.clock import from_datetime
from shared.kernel.documents import Delete, Document, Query
from shared.kernel.errors import InvalidValue, NotFound, Rejected
from shared.kernel.ids import is_safe_id
from shared.users.audit import Act

COLLECTION = "dead_events"
LISTED_MAX = 100
HANDLERS = (
    "functions.agent_execution",
    "functions.credit_events",
    "functions.payment_events",
    "functions.user_lifecycle",
)
"""Modules with functions that handle events."""
RESEND_COMMAND = "command:resend-event"
DISCARD_COMMAND = "command:discard-event"


class DeadEventNotFound(NotFound):
    """There is no dead event with this id; perhaps the event was sent again already."""

    code = "dead_event_not_found"

    def __init__(self, event: str) -> None:
        super().__init__("There is no such dead event; perhaps it was sent again already.", event=event)


class NotResendable(Rejected):
    """The stored facts of this event are not enough to handle the event again."""

    code = "not_resendable"

    def __init__(self, event: str, problem: str) -> None:
        super().__init__(f"This event cannot be sent again: {problem}.", event=event)


class DeadEvents:
    """Stored dead events. An event that was handled is deleted; the audit trail has the act."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._documents = services.ports.documents()

    def waiting(self) -> list[DeadEvent]:
        """Return up to `LISTED_MAX` dead events, in the order of their ids."""
        return [_dead_event(each) for each in self._documents.query(Query(collection=COLLECTION, limit=LISTED_MAX))]

    def resend(self, event_id: str) -> DeadEvent:
        """Handle a dead event again here and now, and forget it if that succeeds.

        Raises DeadEventNotFound, NotResendable, and the errors of the function that handles the event.
        """
        dead = self._found(event_id)
        with self._audit(RESEND_COMMAND, "resend_event", dead, None):
            self._handle(dead)
            self._documents.commit([Delete(f"{COLLECTION}/{dead.id}")])
        return dead

    def discard(self, event_id: str, reason: str) -> DeadEvent:
        """Forget a dead event unhandled. The audit trail has the facts and the reason.

        Raises DeadEventNotFound, and InvalidValue without a reason.
        """
        dead = self._found(event_id)
        if not reason.strip():
            raise InvalidValue("reason", "must say why")
        with self._audit(DISCARD_COMMAND, "discard_event", dead, reason.strip()):
            self._documents.commit([Delete(f"{COLLECTION}/{dead.id}")])
        return dead

    def _found(self, event_id: str) -> DeadEvent:
        document = self._documents.get(f"{COLLECTION}/{event_id}") if is_safe_id(event_id) else None
        if document is None:
            raise DeadEventNotFound(event_id)
        return _dead_event(document)

    def _audit(self, actor: str, act: str, dead: DeadEvent, reason: str | None) -> AbstractContextManager[Act]:
        facts = {"function": dead.function, "event_id": dead.event_id, "subject": dead.subject, "code": dead.code}
        return self._services.users.audit.recording(actor, act, dead.id, reason=reason, before=facts)

    def _handle(self, dead: DeadEvent) -> None:
        for module in HANDLERS:
            import_module(module)
        if dead.function not in REDELIVERIES:
            raise NotResendable(dead.id, "no function has its name")
        try:
            REDELIVERIES[dead.function](dead, self._services)
        except MalformedEvent as error:
            raise NotResendable(dead.id, str(error)) from error


def _dead_event(document: Document) -> DeadEvent:
    data = document.data
    texts = {name: str(data.get(name) or "") for name in ("function", "event_id", "type", "subject", "code")}
    payload, change = data.get("payload"), data.get("change")
    return DeadEvent(
        id=document.id,
        at=from_datetime(data["at"]),  # type: ignore[arg-type]  # a time, as `_bury` stores
        payload=payload if isinstance(payload, str) else None,
        change=change if isinstance(change, str) else None,
        **texts,
    )
