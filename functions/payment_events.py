"""Trigger of stored notices of payment providers: find the payment of a notice, and settle the payment."""

from functions.edge import DocumentEvent, on_document
from shared.bootstrap import Services


@on_document("inbox/{id}")
def on_provider_event(event: DocumentEvent, services: Services) -> None:
    """Handle a stored notice. If that is impossible now, `every_minute` handles the notice later."""
    services.payments.notices.handle(event.params["id"])
