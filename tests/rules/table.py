"""Who may do what from a client: the specification of firestore.rules, one row per collection.

Nobody may create, update or delete anything, so a row only says who may read. What is not in a row is for nobody:
`READERS` lists the readable collections, `SERVER_ONLY` those that our code writes for itself. A test collects the
collections that the code really writes and fails when one is missing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tests.support.live import collection_of

Persona: TypeAlias = Literal["owner", "odd_owner", "anonymous_owner", "stranger", "anonymous", "admin", "signed_out"]
Operation: TypeAlias = Literal["get", "get_missing", "list", "list_all", "list_group", "create", "update", "delete"]

PERSONAS: Mapping[Persona, str] = {
    "owner": "the user it belongs to, with a password",
    "odd_owner": "the user it belongs to, with a uid of another identity provider: a bar, spaces, other scripts",
    "anonymous_owner": "the user it belongs to, signed in anonymously",
    "stranger": "another user",
    "anonymous": "another user, signed in anonymously",
    "admin": "another user with every role as a custom claim",
    "signed_out": "nobody",
}
OPERATIONS: Mapping[Operation, str] = {
    "get": "one document that is there",
    "get_missing": "one document that is not there",
    "list": "the query a client should make: filtered by owner",
    "list_all": "the whole collection",
    "list_group": "all collections of that name",
    "create": "a document that is not there",
    "update": "one field of a document that is there",
    "delete": "a document that is there",
}

NOBODY: frozenset[Persona] = frozenset()
OWNERS: frozenset[Persona] = frozenset({"owner", "odd_owner", "anonymous_owner"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One collection. `{uid}` in its path is the owner, the other names are ids; `seed` is one document of it."""

    path: str
    get: frozenset[Persona] = NOBODY
    get_missing: frozenset[Persona] = NOBODY
    list: frozenset[Persona] = NOBODY
    list_all: frozenset[Persona] = NOBODY
    filter: tuple[str, object] | None = None
    seed: Mapping[str, object] = field(default_factory=dict, compare=False)

    def allowed(self, operation: Operation) -> frozenset[Persona]:
        """Who may; never anybody for a write or a collection group."""
        readable = {"get": self.get, "get_missing": self.get_missing, "list": self.list, "list_all": self.list_all}
        return readable.get(operation, NOBODY)


def _by_path(path: str, **seed: object) -> Row:
    """Owned by standing under the owner's id: also when it is not there yet."""
    return Row(path=path, get=OWNERS, get_missing=OWNERS, seed=seed)


def _by_uid(path: str, **seed: object) -> Row:
    """Owned by the field `uid`, so a list must filter by it; what is missing looks like what is another's."""
    return Row(path=path, get=OWNERS, list=OWNERS, filter=("uid", "{uid}"), seed={"uid": "{uid}", **seed})


def _by_parent(path: str, **seed: object) -> Row:
    """Owned with the document it stands under, which names the owner."""
    return Row(path=path, get=OWNERS, get_missing=OWNERS, list=OWNERS, list_all=OWNERS, seed=seed)


READERS = (
    _by_path("accounts/{uid}", available="1", held="0", debt="0", seq=1, status="open"),
    _by_uid("conversations/{id}", title="t"),
    _by_uid("payments/{id}", status="pending", credits="100", under_review=False),
    _by_uid("agent_tasks/{id}", status="running"),
    _by_parent("agent_tasks/{id}/steps/{id}", number=1, uid="{uid}"),
    _by_uid("image_tasks/{id}", status="running"),
)

SERVER_ONLY = tuple(
    Row(path=path, filter=("uid", "{uid}"), seed={"uid": "{uid}"})
    for path in (
        "accounts/{uid}/archives/{id}",
        "accounts/{uid}/audited/{id}",
        "accounts/{uid}/entries/{id}",
        "accounts/{uid}/holds/{id}",
        "accounts/{uid}/log/{id}",
        "accounts/{uid}/lots/{id}",
        "accounts/{uid}/notes/{id}",
        "accounts/{uid}/operations/{id}",
        "accounts/{uid}/outbox/{id}",
        "accounts/{uid}/redactions/{id}",
        "accounts/{uid}/relay/{id}",
        "accounts/{uid}/sealed/{id}",
        "accounts/{uid}/usage/{id}",
        "agent_jobs/{id}",
        "agent_jobs/{id}/files/{id}",
        "agent_jobs/{id}/steps/{id}",
        "agent_wallets/{id}",
        "answers/{id}",
        "api_keys/{id}",
        "audit/{id}",
        "bonus_claims/{id}",
        "bonus_domains/{id}",
        "books/{id}/shards/{id}",
        "chain_looks/{id}",
        "chain_watch/{id}",
        "crypto_broadcasts/{id}",
        "crypto_indices/{id}",
        "crypto_payout_transactions/{id}",
        "crypto_payouts/{id}",
        "crypto_refund_addresses/{id}",
        "crypto_state/{id}",
        "customers/{id}",
        "alerts/{id}",
        "dead_events/{id}",
        "effects/{id}",
        "expectations/{id}",
        "image_jobs/{id}",
        "images/{id}",
        "inbox/{id}",
        "jobs/{id}",
        "leavings/{id}",
        "ledger_log/{id}",
        "ledger_log/{id}/closed/{id}",
        "ledger_log/{id}/closed/{id}/day_pages/{id}",
        "ledger_log/{id}/outbox/{id}",
        "ledger_log/{id}/tiles/{id}",
        "ledger_log/{id}/world_moves/{id}",
        "mailbox_debts/{id}",
        "ledger_log/{id}",
        "ledger_log/{id}/entries/{id}",
        "ledger_log/{id}/outbox/{id}",
        "loss_events/{id}",
        "losses/{id}",
        "migrations/{id}",
        "models/{id}",
        "models/{id}/prices/{id}",
        "package_slots/{id}",
        "packages/{id}",
        "checkout_places/{id}",
        "crypto_addresses/{id}",
        "conversation_deletions/{id}",
        "conversation_states/{id}",
        "conversations/{id}/messages/{id}",
        "payment_refunds/{id}",
        "payment_sagas/{id}",
        "provider_books/{id}",
        "provider_books/{id}/provider_days/{id}",
        "provider_books/{id}/provider_items/{id}",
        "provider_books/{id}/provider_rows/{id}",
        "provider_listings/{id}",
        "response_items/{id}",
        "responses/{id}",
        "sign_ups/{id}",
        "stops/{id}",
        "turns/{id}",
        "users/{uid}",
        "users/{uid}/settings/{id}",
        "webhook_certificates/{id}",
    )
)

UNKNOWN = (
    Row(path="agent_tasks/{id}/files/{id}", filter=("uid", "{uid}"), seed={"uid": "{uid}"}),
    Row(path="anything/{id}", filter=("uid", "{uid}"), seed={"uid": "{uid}"}),
    Row(path="users/{uid}/anything/{id}", filter=("uid", "{uid}"), seed={"uid": "{uid}"}),
    Row(path="accounts/{uid}/entries/{id}/anything/{id}", filter=("uid", "{uid}"), seed={"uid": "{uid}"}),
    Row(path="conversations/{id}/anything/{id}", filter=("uid", "{uid}"), seed={"uid": "{uid}"}),
)

ROWS = (*READERS, *SERVER_ONLY, *UNKNOWN)

COLLECTIONS = frozenset(collection_of(row.path) for row in (*READERS, *SERVER_ONLY))
"""Every collection that somebody decided about, as `accounts/*/entries`. Nothing of ours may write into another."""
