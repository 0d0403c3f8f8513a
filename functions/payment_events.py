"""What providers announced, as it is remembered: find the payment that it is about, and settle that."""

from functions.edge import DocumentEvent, on_document
from shared.bootstrap import Services


@on_document("inbox/{id}")
def on_provider_event(event: DocumentEvent, services: Services) -> None:
    """A notice was stored. What cannot be done now is taken up again by `every_minute`."""
    services.payment_inbox.handle(event.params["id"])
