"""Entries: immutable changes of one account, and the canonical body that is hashed, chained and signed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.kernel.canonical import Json, canonical
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId, Uid

ENTRY_VERSION = 1

Kind = Literal[
    "grant", "refund", "charge", "expiry", "reversal", "adjustment", "hold", "extension", "release", "status"
]
POSTED_KINDS: frozenset[Kind] = frozenset({"grant", "refund", "charge", "expiry", "reversal", "adjustment"})
"""Kinds of entries that move posted credits (available + held − debt). History shows only these by default."""

NOTELESS_KINDS: frozenset[Kind] = frozenset({"charge", "extension", "release"})
"""Kinds of entries whose commands take no note."""
CALL_KINDS: frozenset[Kind] = NOTELESS_KINDS | {"hold"}
"""Kinds of entries that model calls make. They only tell that they have a note, since they are most entries."""

AVAILABLE, HELD, DEBT = "available", "held", "debt"
OWN = frozenset({AVAILABLE, HELD, DEBT})
BREAKAGE, ABSORBED, ADJUSTMENT = "breakage", "absorbed", "adjustment"
RECOVERED = "recovered"
"""Destination of credits that pay the debt of a closed account. This debt was written off at the closing."""

ENVELOPE = frozenset(
    {"v", "ledger", "uid", "seq", "prev", "kind", "op", "at", "kid", "postings", "posted", "held", "debt"}
)
"""Names in an entry's body that every entry has. All other names are facts."""

Facts = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Posting:
    """Movement of `amount` µcr, above zero, from a source to a destination. `lot` is None if no lot is involved."""

    source: str
    destination: str
    amount: int
    lot: LotId | None = None

    def to_json(self) -> Facts:
        """Return the posting in the form of an entry's body."""
        body: dict[str, Json] = {"from": self.source, "to": self.destination, "amount": self.amount}
        return body if self.lot is None else {**body, "lot": self.lot}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Change as decided, without a place in the chain. `facts` hold the values that no posting expresses."""

    kind: Kind
    operation: str
    at: Millis
    postings: tuple[Posting, ...] = ()
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Link of the chain: `body` is the canonical text, `hash` its SHA-256 in hex, `kid` the id of the signing key."""

    seq: int
    kind: Kind
    body: str
    hash: str
    kid: str


def genesis(ledger: str, uid: Uid) -> str:
    """Return the hash before the first entry.

    The hash covers the account's name, so that no chain fits another account.
    """
    return hashlib.sha256(canonical({"genesis": uid, "ledger": ledger, "v": ENTRY_VERSION})).hexdigest()


def body_hash(body: str | bytes) -> str:
    """Return the SHA-256 of the canonical body, in hex."""
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()


def draft_of(body: Mapping[str, Any]) -> Draft:
    """Return the change in an entry's parsed body. Raises KeyError, TypeError or ValueError for a malformed body."""
    postings = tuple(
        Posting(source=item["from"], destination=item["to"], amount=item["amount"], lot=item.get("lot"))
        for item in body["postings"]
    )
    facts = {name: value for name, value in body.items() if name not in ENVELOPE}
    return Draft(kind=body["kind"], operation=body["op"], at=body["at"], postings=postings, facts=facts)


def net_change(draft: Draft) -> int:
    """Return the change of available + held − debt, in µcr."""
    gained = sum(posting.amount for posting in draft.postings if posting.destination in OWN)
    lost = sum(posting.amount for posting in draft.postings if posting.source in OWN)
    return gained - lost
