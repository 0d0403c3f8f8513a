"""What is stored of an account when all is over: its journal, its remembered operations, its balance, its audit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from shared.kernel.documents import Documents, Query
from shared.kernel.ids import OperationId, Uid
from shared.ledger.export import export_lines
from shared.ledger.findings import Finding
from shared.ledger.key_ring import KeyRing
from shared.ledger.store import AccountStore
from shared.ledger.verify.exports import verify_account

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the ledger remembers of one operation."""

    fingerprint: str
    result: Mapping[str, Any]

    @property
    def seq(self) -> int:
        """The entry that was the account's last when it was done."""
        return int(self.result["seq"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One account. `entries` are the bodies in order of seq; `balance` is (available, held, debt) as listeners see."""

    uid: Uid
    ledger: str
    entries: tuple[Mapping[str, Any], ...]
    operations: Mapping[OperationId, Kept]
    balance: tuple[int, int, int]
    findings: tuple[Finding, ...]


def read_book(documents: Documents, keys: KeyRing, ledger: str, uid: Uid) -> Book:
    """The account as it is stored now, by its own export."""
    store = AccountStore(documents, keys, ledger)
    lines = list(export_lines(documents, keys, ledger, uid))
    records = [orjson.loads(line) for line in lines]
    plain = next(record["plain"] for record in records if record["type"] == "account")
    return Book(
        uid=uid,
        ledger=ledger,
        entries=tuple(orjson.loads(record["body"]) for record in records if record["type"] == "entry"),
        operations={name: kept for page in _operations(documents, uid) for name, kept in _kept(store, uid, page)},
        balance=(_micro(plain["available"]), _micro(plain["held"]), _micro(plain["debt"])),
        findings=tuple(verify_account(lines, keys)),
    )


def _operations(documents: Documents, uid: Uid) -> Iterator[list[OperationId]]:
    collection, after = f"accounts/{uid}/operations", None
    while page := documents.query(Query(collection=collection, limit=PAGE, after=after)):
        yield [OperationId(document.id) for document in page]
        after = (page[-1].path,)


def _kept(store: AccountStore, uid: Uid, page: Sequence[OperationId]) -> Iterator[tuple[OperationId, Kept]]:
    """As the next replay would have it: whoever reads it so has checked its seal."""
    for operation, record in store.operations(uid, page).items():
        yield operation, Kept(fingerprint=record.fingerprint, result=record.facts)


def _micro(credits_: str) -> int:
    """What a listener reads as credits, in µcr."""
    return int(Decimal(credits_) * 1_000_000)
