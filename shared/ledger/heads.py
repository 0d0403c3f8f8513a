"""Heads: the last known state of an account, and the state that commands are decided on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.kernel.documents import Version
from shared.kernel.ids import OperationId
from shared.ledger.account import NOTHING, Account, Archive
from shared.ledger.operation_records import OperationRecord


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Head:
    """Last known state of an account, the number of its commits, and the version that the next commit builds on.

    `version` is None while the account has no document, else the versions of both its documents. `first_indexed` is the
    number from which all entries have their index fields; None if the last commit was of an earlier release.
    """

    account: Account
    number: int
    version: Version | None
    first_indexed: int | None = None

    @property
    def next_indexed(self) -> int:
        """Number from which all entries have their index fields after the next commit."""
        return self.account.seq + 1 if self.first_indexed is None else self.first_indexed

    def after(self, account: Account, version: Version) -> "Head":
        """Return the head after a commit that made this state with this version."""
        return Head(account=account, number=self.number + 1, version=version, first_indexed=self.next_indexed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Snapshot:
    """State that commands are decided on. `is_fresh`: just read, so that a refusal based on this state is final."""

    head: Head
    is_fresh: bool
    operations: Mapping[OperationId, OperationRecord] = field(default_factory=dict)
    archive: Archive = NOTHING
    versions: Mapping[str, Version] = field(default_factory=dict)
