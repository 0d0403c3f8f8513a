"""Indices of addresses: which key each index belongs to, in `crypto_indices/{family}`.

An index counts the addresses of a family, over all keys that were ever set. A run is a part of the indices that belongs
to one key, and that begins at some step of the key's path 0/i. A new key begins a new run at the next index, and at
step 0. A key that comes back continues behind its own last step. Runs never change, so no address has two indices.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shared.kernel.account_keys import AccountKey
from shared.kernel.documents import Data, Documents, Value
from shared.payments.chains.networks import Family

FINGERPRINT_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletKey:
    """Key of a wallet. `prefix` is the human-readable part of Bitcoin's addresses (`bc`, `tb`, `bcrt`), or ""."""

    account: AccountKey
    prefix: str = ""

    @property
    def fingerprint(self) -> str:
        """Return the name of the key's addresses. Two texts of one key, such as zpub and wpkh, have the same name."""
        account = self.account
        parts = (account.script.encode(), self.prefix.encode(), account.public_key, account.chain_code)
        return hashlib.sha256(b"/".join(parts)).hexdigest()[:FINGERPRINT_CHARS]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRun:
    """Indices from `first` on, which belong to the key with this fingerprint. `step` is the path's step of `first`."""

    fingerprint: str
    first: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlace:
    """Key and step of the path 0/step, from which the address of an index is derived."""

    fingerprint: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexTable:
    """Runs of indices, in order. `next` is the first index that was never taken."""

    next: int = 0
    runs: tuple[IndexRun, ...] = ()

    def place(self, index: int) -> IndexPlace | None:
        """Return the key and the step of an index; None if the index was never taken."""
        if not 0 <= index < self.next:
            return None
        run = next(each for each in reversed(self.runs) if each.first <= index)
        return IndexPlace(fingerprint=run.fingerprint, step=run.step + index - run.first)

    def steps_taken(self, fingerprint: str) -> int:
        """Return the number of steps of a key's path that were taken, from 0 on."""
        ends = (*(run.first for run in self.runs[1:]), self.next)
        return max(
            (
                run.step + end - run.first
                for run, end in zip(self.runs, ends, strict=False)
                if run.fingerprint == fingerprint
            ),
            default=0,
        )

    def take(self, fingerprint: str, count: int) -> "IndexTable":
        """Return the table after the next `count` indices were taken for a key."""
        runs = self.runs
        if not runs or runs[-1].fingerprint != fingerprint:
            runs += (IndexRun(fingerprint=fingerprint, first=self.next, step=self.steps_taken(fingerprint)),)
        return replace(self, next=self.next + count, runs=runs)


class IndexTables:
    """Reader of the tables. The last table of each family is kept, since only new indices can change a table.

    Safe between threads.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = threading.Lock()
        self._known: dict[Family, IndexTable] = {}

    def with_index(self, family: Family, index: int) -> IndexTable:
        """Return a table that holds this index, if the index was ever taken. Read only for a new index."""
        known = self._known.get(family, IndexTable())
        return known if index < known.next else self.read(family)

    def read(self, family: Family) -> IndexTable:
        """Return the present table. Raises StoreUnavailable."""
        found = self._documents.get(table_path(family))
        return self.remember(family, IndexTable() if found is None else table_of(found.data))

    def taken(self, family: Family) -> int:
        """Return the number of indices that are taken now: each is below this number. Raises StoreUnavailable."""
        return self.read(family).next

    def remember(self, family: Family, table: IndexTable) -> IndexTable:
        """Keep a table that is stored, if it is newer than the known one, and return the newer one."""
        with self._lock:
            newest = max(table, self._known.get(family, table), key=lambda each: each.next)
            self._known[family] = newest
        return newest


def table_path(family: Family) -> str:
    """Return the path of a family's table."""
    return f"crypto_indices/{family}"


def table_of(data: Data) -> IndexTable:
    """Return the stored table."""
    runs = cast("Sequence[Mapping[str, Any]]", data.get("runs") or ())
    return IndexTable(
        next=cast("int", data.get("next", 0)),
        runs=tuple(IndexRun(fingerprint=run["key"], first=run["first"], step=run["step"]) for run in runs),
    )


def data_of(table: IndexTable) -> dict[str, Value]:
    """Return the table as stored."""
    runs = [{"key": run.fingerprint, "first": run.first, "step": run.step} for run in table.runs]
    return {"next": table.next, "runs": cast("Value", runs)}
