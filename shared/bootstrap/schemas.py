"""Schema versions of all stored documents: one row for each kind.

`docs/how-to/migration.md` says how a row changes. A test holds the table to the kinds that the code writes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.kernel.documents import Data, Documents
from shared.kernel.objects import Objects
from shared.kernel.schemas import Schema, Schemas, as_stored

if TYPE_CHECKING:
    from shared.platform.archived.documents import ArchivedDocuments
    from shared.platform.versioned.documents import VersionedDocuments


def _split_from(field: str) -> Schema:
    """Return the schema of a document that lost a part in version 2. The domain's code reads both versions.

    Documents of version 1 have the `field`. The part went to another document that only the server reads, or, for
    entries, follows from the rest.
    """
    return Schema(version=2, reads={1: as_stored}, told_by=_without(field))


def _gained(field: str) -> Schema:
    """Return the schema of a document that has the `field` since version 2. The domain's code reads both versions."""
    return Schema(version=2, reads={1: as_stored}, told_by=lambda data: 2 if field in data else 1)


def _without(field: str) -> Callable[[Data], int]:
    """Return the function that tells data without `field` as version 2, and data with `field` as version 1."""

    def told_by(data: Data) -> int:
        return 1 if field in data else 2

    return told_by


SCHEMAS: Schemas = {
    "accounts": _split_from("state"),
    "accounts/*/archives": Schema(),
    "accounts/*/audited": Schema(),
    "accounts/*/entries": replace(_split_from("hash"), is_sealed=True),
    "accounts/*/holds": Schema(),
    "accounts/*/log": Schema(),
    "accounts/*/lots": Schema(),
    "accounts/*/notes": Schema(),
    "accounts/*/operations": Schema(),
    "accounts/*/outbox": Schema(),
    "accounts/*/redactions": Schema(),
    "accounts/*/relay": Schema(),
    "accounts/*/sealed": Schema(),
    "accounts/*/usage": Schema(),
    "agent_jobs": Schema(),
    "agent_jobs/*/files": Schema(),
    "agent_jobs/*/steps": Schema(),
    "agent_tasks": _split_from("fingerprint"),
    "agent_tasks/*/files": Schema(),
    "agent_tasks/*/steps": _split_from("body"),
    "agent_wallets": Schema(),
    "alerts": Schema(),
    "answers": Schema(),
    "api_keys": Schema(),
    "audit": Schema(),
    "bonus_claims": Schema(),
    "bonus_domains": Schema(),
    "books/*/shards": Schema(),
    "chain_looks": Schema(),
    "chain_watch": Schema(),
    "checkout_places": Schema(),
    "conversation_deletions": Schema(),
    "conversation_states": _gained("tail"),
    "conversations": _split_from("recency"),
    "conversations/*/messages": _gained("messages"),
    "crypto_broadcasts": Schema(),
    "crypto_indices": Schema(),
    "crypto_payout_transactions": Schema(),
    "crypto_payouts": Schema(),
    "crypto_refund_addresses": Schema(),
    "crypto_addresses": Schema(),
    "crypto_state": Schema(),
    "customers": Schema(),
    "dead_events": Schema(),
    "effects": Schema(),
    "expectations": Schema(),
    "image_asks": Schema(),
    "image_jobs": Schema(),
    "image_tasks": _split_from("lease"),
    "images": Schema(),
    "inbox": Schema(),
    "jobs": Schema(),
    "leavings": Schema(),
    "ledger_log": Schema(),
    "ledger_log/*/closed": Schema(),
    "ledger_log/*/closed/*/day_pages": Schema(),
    "ledger_log/*/entries": Schema(),
    "ledger_log/*/outbox": Schema(),
    "ledger_log/*/tiles": Schema(),
    "ledger_log/*/world_moves": Schema(),
    "loss_events": Schema(),
    "losses": Schema(),
    "mailbox_debts": Schema(),
    "migrations": Schema(),
    "models": Schema(),
    "models/*/prices": Schema(),
    "package_slots": Schema(),
    "packages": Schema(),
    "payment_refunds": Schema(),
    "payment_sagas": Schema(),
    "payments": _split_from("schema"),
    "provider_books": Schema(),
    "provider_books/*/provider_days": Schema(),
    "provider_books/*/provider_items": Schema(),
    "provider_books/*/provider_rows": Schema(),
    "provider_listings": Schema(),
    "response_items": Schema(),
    "responses": Schema(),
    "sign_ups": Schema(),
    "stops": Schema(),
    "turns": Schema(),
    "users": Schema(),
    "users/*/settings": Schema(),
    "webhook_certificates": Schema(),
}
"""Schemas by kind. Only entries are sealed: a changed entry raises the alarm."""


def versioned(documents: Documents) -> "VersionedDocuments":
    """Return the database with the schema version of every document."""
    from shared.platform.versioned.documents import VersionedDocuments

    return VersionedDocuments(documents, SCHEMAS)


def archived(documents: Documents, objects: Callable[[], Objects], ledger: str) -> "ArchivedDocuments":
    """Return the database with the entries that were moved to the bucket."""
    from shared.platform.archived.documents import ArchivedDocuments

    if isinstance(documents, ArchivedDocuments):
        return documents
    return ArchivedDocuments(documents, objects, ledger, SCHEMAS)
