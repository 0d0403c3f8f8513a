"""Closed days: the state of every account as of a day, as leaves of one Merkle tree (RFC 6962).

A page has the accounts of 256 leaves, in the order of the store. So the root of a page is a node of the tree, and the
path of one account needs one page and the roots of all pages. The record of a day has the root, and the hash of the
record before, so that no day can be left out or written again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.account import Account
from shared.ledger.log.books import LedgerBooks, books_text, stored_books
from shared.ledger.log.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, root_of, root_of_inclusion

ACCOUNT_PREFIX = b"ics-day-account-v1\n"
PAGE_ACCOUNTS = 256
"""Number of accounts of a complete page: a power of two, so that the page's root is a node of the tree."""
RECORD_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAccount:
    """State of one account as of a day: number and hash of the last entry, SHA-256 of the state, and totals in µcr."""

    uid: Uid
    seq: int
    head: str
    state: str
    posted: int
    held: int
    debt: int

    @property
    def leaf(self) -> bytes:
        """Return the hash of the account's leaf. Two days have the same leaf if nothing has changed between them."""
        return leaf_hash(ACCOUNT_PREFIX + canonical(self.to_json()))

    def to_json(self) -> dict[str, Json]:
        """Return the account in the form of its leaf."""
        return {
            "uid": self.uid,
            "seq": self.seq,
            "head": self.head,
            "state": self.state,
            "posted": self.posted,
            "held": self.held,
            "debt": self.debt,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """Number of accounts, and sums over them in µcr: posted credits, held credits and debt."""

    accounts: int = 0
    posted: int = 0
    held: int = 0
    debt: int = 0

    def with_accounts(self, accounts: Sequence[DayAccount]) -> "DayTotals":
        """Return the totals with more accounts."""
        return DayTotals(
            accounts=self.accounts + len(accounts),
            posted=self.posted + sum(each.posted for each in accounts),
            held=self.held + sum(each.held for each in accounts),
            debt=self.debt + sum(each.debt for each in accounts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRecord:
    """Record of a closed day. `day` is a date (UTC), `root` the root over all accounts in hex.

    `previous` is the hash of the record before, "" before the first. `fold` is the version of the rules that make a
    state from entries. `books` are the sums of the log, which had `size` leaves.
    """

    ledger: str
    day: str
    root: str
    totals: DayTotals
    previous: str
    fold: int
    size: int = 0
    books: LedgerBooks = field(default_factory=LedgerBooks)

    @property
    def text(self) -> str:
        """Return the canonical text. Sums are decimal strings, since they may exceed canonical integers."""
        totals = self.totals
        fields: dict[str, Json] = {
            "v": RECORD_VERSION,
            "ledger": self.ledger,
            "day": self.day,
            "root": self.root,
            "accounts": totals.accounts,
            "posted": str(totals.posted),
            "held": str(totals.held),
            "debt": str(totals.debt),
            "previous": self.previous,
            "fold": self.fold,
            "size": self.size,
            "books": books_text(self.books),
        }
        return canonical(fields).decode()

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStatement:
    """Statement of a closed day in the log: the part of the record that every customer may see.

    `record` is the SHA-256 of the record's text, in hex. The record has the sums of the whole ledger. `keys` is the
    number of entries that the registry of keys had, so that no later export can leave one of them out.
    """

    ledger: str
    day: str
    root: str
    accounts: int
    fold: int
    record: str
    keys: int

    @property
    def text(self) -> str:
        """Return the canonical text, which the ledger's key signs."""
        fields: dict[str, Json] = {
            "v": RECORD_VERSION,
            "ledger": self.ledger,
            "day": self.day,
            "root": self.root,
            "accounts": self.accounts,
            "fold": self.fold,
            "record": self.record,
            "keys": self.keys,
        }
        return canonical(fields).decode()

    def has(self, account: DayAccount, index: int, hashes: Sequence[bytes]) -> bool:
        """Return True if the day's tree has this account as leaf `index`, by the inclusion proof."""
        try:
            root = root_of_inclusion(account.leaf, index, self.accounts, hashes)
        except ValueError:
            return False
        return root.hex() == self.root


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPath:
    """Proof that an account is part of a closed day: the leaf's number and the hashes beside the way to the root."""

    account: DayAccount
    index: int
    hashes: tuple[bytes, ...]
    record: DayRecord

    @property
    def is_proven(self) -> bool:
        """Return True if the account's leaf and the hashes give the root of the record."""
        return statement_of(self.record, keys=0).has(self.account, self.index, self.hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Comparison of an account with the same account at the close before.

    `rule` is the law that is broken; empty if none is. `is_moved`: entries were added since.
    """

    rule: str = ""
    is_moved: bool = False


def record_in(text: str) -> DayRecord:
    """Return the record of a canonical text. Raises ValueError, KeyError or TypeError for any other text."""
    told: Any = parse_canonical(text)
    totals = DayTotals(
        accounts=told["accounts"], posted=int(told["posted"]), held=int(told["held"]), debt=int(told["debt"])
    )
    record = DayRecord(
        ledger=told["ledger"],
        day=told["day"],
        root=told["root"],
        totals=totals,
        previous=told["previous"],
        fold=told["fold"],
        size=told["size"],
        books=stored_books(told["books"]),
    )
    if record.text != text:
        raise ValueError("not the record of a closed day")
    return record


def statement_of(record: DayRecord, keys: int) -> DayStatement:
    """Return the statement of a record. `keys` is the number of entries of the registry of keys."""
    return DayStatement(
        ledger=record.ledger,
        day=record.day,
        root=record.root,
        accounts=record.totals.accounts,
        fold=record.fold,
        record=record.hash,
        keys=keys,
    )


def statement_in(text: str) -> DayStatement:
    """Return the statement of a canonical text. Raises ValueError, KeyError or TypeError for any other text."""
    told: Any = parse_canonical(text)
    names = ("ledger", "day", "root", "accounts", "fold", "record", "keys")
    statement = DayStatement(**{name: told[name] for name in names})
    numbers, texts = (
        (statement.accounts, statement.fold, statement.keys),
        (statement.day, statement.root, statement.record),
    )
    if any(type(each) is not int for each in numbers) or any(type(each) is not str for each in texts):
        raise TypeError("a field of a closed day has a wrong type")
    if statement.text != text:
        raise ValueError("not the statement of a closed day")
    return statement


def account_of(account: Account, state: str) -> DayAccount:
    """Return the leaf's account for an account's state; `state` is the stored text of the state."""
    return DayAccount(
        uid=account.uid,
        seq=account.seq,
        head=account.head,
        state=hashlib.sha256(state.encode()).hexdigest(),
        posted=account.available + account.held,
        held=account.held,
        debt=account.debt,
    )


def account_in(told: Mapping[str, Any]) -> DayAccount:
    """Return the account of a leaf's fields. Raises KeyError for missing fields."""
    return DayAccount(**{name: told[name] for name in ("uid", "seq", "head", "state", "posted", "held", "debt")})


def page_data(accounts: Sequence[DayAccount]) -> bytes:
    """Return a page of accounts as stored."""
    return orjson.dumps([account.to_json() for account in accounts])


def accounts_in(data: bytes) -> list[DayAccount]:
    """Return the accounts of a stored page. Raises KeyError, TypeError or ValueError for any other bytes."""
    return [account_in(each) for each in orjson.loads(data)]


def page_root(accounts: Sequence[DayAccount]) -> bytes:
    """Return the root over the accounts of one page."""
    return root_of([account.leaf for account in accounts])


def day_root(page_roots: Sequence[bytes]) -> bytes:
    """Return the root over all pages, of which all but the last are complete."""
    return root_of(page_roots) if page_roots else EMPTY_ROOT


def day_path(record: DayRecord, page: Sequence[DayAccount], number: int, roots: Sequence[bytes], uid: Uid) -> DayPath:
    """Return the path of the account `uid` on page `number`. Raises KeyError if the account is not on the page."""
    offset = next((place for place, each in enumerate(page) if each.uid == uid), None)
    if offset is None:
        raise KeyError(uid)
    leaves = [account.leaf for account in page]
    return DayPath(
        account=page[offset],
        index=number * PAGE_ACCOUNTS + offset,
        hashes=(*_path(leaves, offset), *_path(roots, number)),
        record=record,
    )


def changes_since(before: DayAccount | None, now: DayAccount | None, *, is_same_fold: bool) -> Changes:
    """Compare an account with the same account at the close before. `before` and `now` are None without the account.

    Entries are never taken away, and a state changes by entries only. States are compared if both were made by the same
    rules.
    """
    if now is None:
        return Changes(rule="account_missing" if before is not None and before.seq > 0 else "")
    if before is None or now.seq > before.seq:
        return Changes(is_moved=before is not None and before.seq > 0)
    if now.seq < before.seq:
        return Changes(rule="rolled_back")
    if now.head != before.head:
        return Changes(rule="rewritten")
    known = before if is_same_fold else replace(before, state=now.state)
    return Changes(rule="" if now == known else "state_changed")


def _path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    def hash_at(level: int, place: int) -> bytes:
        return root_of(hashes[place << level : (place + 1) << level])

    return inclusion_proof(index, len(hashes), hash_at)
