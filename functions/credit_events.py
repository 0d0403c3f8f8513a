"""Trigger of ledger entries: verify and relay a new entry, raise the alarm for a changed or deleted entry."""

from functions.edge import DocumentEvent, on_document
from shared.bootstrap import Services
from shared.kernel.ids import Uid


@on_document("accounts/{uid}/entries/{seq}")
def on_ledger_entry(event: DocumentEvent, services: Services) -> None:
    """Verify and relay a new entry. Raise the alarm for a changed or deleted entry."""
    is_new = event.before is None and event.after is not None
    services.credits.watch.entry_written(Uid(event.params["uid"]), _seq(event.params["seq"]), is_new=is_new)


def _seq(document_id: str) -> int:
    """Return the number of an entry, or -1 for an id that the ledger did not write."""
    return int(document_id) if document_id.isascii() and document_id.isdigit() else -1
