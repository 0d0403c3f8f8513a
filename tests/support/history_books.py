"""What is stored of an account when all is over: its journal, its remembered operations, its balance, its audit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.kernel.documents import Documents, Query
from shared.kernel.ids import OperationId, Uid
from shared.ledger.keys import KeyRing
from shared.ledger.ledger import Ledger
from shared.ledger.verify import Finding, verify_account

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the ledger remembers of one operation."""

    fingerprint: str
    seq: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One account. `entries` are the bodies in order of seq; `balance` is (available, held, debt) as listeners see."""

    uid: Uid
    ledger: str
    entries: tuple[Mapping[str, Any], ...]
    operations: Mapping[OperationId, Kept]
    balance: tuple[int, int, int]
    findings: tuple[Finding, ...]


def read_book(documents: Documents, ledger: Ledger, keys: KeyRing, uid: Uid) -> Book:
    """The account as it is stored now, by its own export."""
    lines = list(ledger.export(uid))
    records = [orjson.loads(line) for line in lines]
    plain = next(record["plain"] for record in records if record["type"] == "account")
    return Book(
        uid=uid,
        ledger=records[0]["ledger"],
        entries=tuple(orjson.loads(record["body"]) for record in records if record["type"] == "entry"),
        operations=dict(_operations(documents, uid)),
        balance=(plain["available"], plain["held"], plain["debt"]),
        findings=tuple(verify_account(lines, keys)),
    )


def _operations(documents: Documents, uid: Uid) -> Iterator[tuple[OperationId, Kept]]:
    collection, after = f"accounts/{uid}/operations", None
    while page := documents.query(Query(collection=collection, limit=PAGE, after=after)):
        for document in page:
            data: Any = document.data
            result = orjson.loads(data["result"])
            yield OperationId(document.id), Kept(fingerprint=data["fingerprint"], seq=data["seq"], result=result)
        after = (page[-1].path,)
