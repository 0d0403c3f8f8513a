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
"""Entries that move posted credits (available + held − debt); history shows these unless asked otherwise."""

AVAILABLE, HELD, DEBT = "available", "held", "debt"
OWN = frozenset({AVAILABLE, HELD, DEBT})
BREAKAGE, ABSORBED, ADJUSTMENT = "breakage", "absorbed", "adjustment"
RECOVERED = "recovered"
"""Where credits go that pay the debt of a closed account, which was written off when it closed."""

Facts = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Posting:
    """`amount` µcr, above zero, from a source to a destination; `lot` where one of them is the account's."""

    source: str
    destination: str
    amount: int
    lot: LotId | None = None

    def to_json(self) -> Facts:
        """The posting as it stands in an entry's body."""
        body: dict[str, Json] = {"from": self.source, "to": self.destination, "amount": self.amount}
        return body if self.lot is None else {**body, "lot": self.lot}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A change as decided, before it has its place in the chain. `facts` hold what no posting says."""

    kind: Kind
    operation: str
    at: Millis
    postings: tuple[Posting, ...] = ()
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of the chain: `body` is the canonical text, `hash` its SHA-256 in hex."""

    seq: int
    kind: Kind
    body: str
    hash: str


def genesis(ledger: str, uid: Uid) -> str:
    """The hash before the first entry: of the account's own name, so that no chain fits another account."""
    return hashlib.sha256(canonical({"genesis": uid, "ledger": ledger, "v": ENTRY_VERSION})).hexdigest()


def body_hash(body: str | bytes) -> str:
    """SHA-256 of the canonical body, in hex."""
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()


def draft_of(body: Mapping[str, Any]) -> Draft:
    """The change that an entry's parsed body tells. Raises KeyError, TypeError or ValueError for a malformed body."""
    postings = tuple(
        Posting(source=item["from"], destination=item["to"], amount=item["amount"], lot=item.get("lot"))
        for item in body["postings"]
    )
    facts = {name: body[name] for name in ("lot", "hold", "budgets", "tat", "status", "about") if name in body}
    return Draft(kind=body["kind"], operation=body["op"], at=body["at"], postings=postings, facts=facts)


def net_change(draft: Draft) -> int:
    """How much available + held − debt changed, in µcr."""
    gained = sum(posting.amount for posting in draft.postings if posting.destination in OWN)
    lost = sum(posting.amount for posting in draft.postings if posting.source in OWN)
    return gained - lost
