"""Triggers of the ledger: publish the entries that a marker tells of, and alert for changed or deleted entries."""

from functions.edge import DocumentEvent, on_document
from shared.bootstrap import Services
from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.documents import Document
from shared.kernel.ids import Uid
from shared.kernel.schemas import opened
from shared.ledger.markers import RELAY, is_waiting

MARKER, ENTRY = "accounts/{uid}/outbox/{id}", "accounts/{uid}/entries/{seq}"


@on_document(MARKER, ENTRY)
def on_ledger_entry(event: DocumentEvent, services: Services) -> None:
    """Verify and publish an account's new entries. End without a read if the marker was cleared.

    Earlier releases registered the function for entries. Such an event may still be on its way, or among the dead.
    """
    uid = Uid(event.params["uid"])
    is_of_entry = "seq" in event.params
    if is_of_entry and not (event.before is None and event.after is not None):
        services.credits.watch.entry_changed(uid, _seq(event.params["seq"]))
    elif is_of_entry or not event.after:
        services.credits.watch.relay(uid)
    else:
        marker = opened(Document(path=event.path, data=event.after, version=event.version), SCHEMAS)
        if is_waiting(marker.data, RELAY):
            services.credits.watch.relay(uid, marker)


@on_document(ENTRY)
def on_entry_updated(event: DocumentEvent, services: Services) -> None:
    """Raise the alarm for a changed entry."""
    services.credits.watch.entry_changed(Uid(event.params["uid"]), _seq(event.params["seq"]))


@on_document(ENTRY)
def on_entry_deleted(event: DocumentEvent, services: Services) -> None:
    """Raise the alarm for a deleted entry."""
    services.credits.watch.entry_deleted(Uid(event.params["uid"]), _seq(event.params["seq"]))


def _seq(document_id: str) -> int:
    """Return the number of an entry, or -1 for an id that the ledger did not write."""
    return int(document_id) if document_id.isascii() and document_id.isdigit() else -1
