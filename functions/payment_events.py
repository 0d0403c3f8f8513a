"""Trigger of stored notices of payment providers: find the payment of a notice, and settle the payment."""

from functions.edge import DocumentEvent, on_document
from shared.bootstrap import Services
from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.clock import Millis
from shared.kernel.documents import Document
from shared.kernel.schemas import opened
from shared.payments.inbox import GRACE


@on_document("inbox/{id}")
def on_provider_event(event: DocumentEvent, services: Services) -> None:
    """Handle a stored notice. If that is impossible now, `every_minute` handles the notice later."""
    services.payments.notices.handle(event.params["id"], _notice(event, services.clock.now()))


def _notice(event: DocumentEvent, now: Millis) -> Document | None:
    """Return the notice that a recent event brings. None for a later delivery: the notice may be handled by then."""
    if not event.after or event.version is None or now - event.at >= GRACE:
        return None
    return opened(Document(path=event.path, data=event.after, version=event.version), SCHEMAS)
