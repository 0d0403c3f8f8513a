"""The two documents of an account: the sealed state, which is the truth, and what a listener shows of it.

One commit writes both, on the versions of both, so that an edit of either is found by the next operation.
`accounts/{uid}/sealed/state` is read by the server alone. `accounts/{uid}` has the names, units and times of
`GET /v1/credits/balance`, and is derived. An account stored in the old form has both in `accounts/{uid}`, with integer
amounts; its next commit moves it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from shared.kernel.clock import rfc3339, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, Put, StoreUnavailable, Value, Version, Write
from shared.kernel.ids import Uid
from shared.kernel.money import format_credits
from shared.ledger.account import Account

SCHEMA = 1
SEALED_FIELDS = frozenset({"state", "seal", "version", "nonce"})
DUE_SHARDS = 16
"""Sweeps find accounts by time; one index range per shard keeps that from being a hotspot."""
STEADY_READS_MAX = 20
"""So often the two documents are read until no commit fell between the reads."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Stored:
    """The documents of an account as read: `sealed` has the state, `shown` is what a listener sees.

    In the old form `sealed` is None, and `shown` has all of it.
    """

    sealed: Document | None
    shown: Document | None

    @property
    def is_old(self) -> bool:
        """True for an account of the old form."""
        return self.sealed is None and self.shown is not None and "state" in self.shown.data

    @property
    def version(self) -> Version | None:
        """What the next commit builds on: the versions of both documents; None for an account that has none."""
        versions = (_version(self.sealed), _version(self.shown))
        return None if versions == (None, None) else versions

    @property
    def state(self) -> Document | None:
        """The document that has the state; None for an account that has none."""
        return self.shown if self.sealed is None else self.sealed

    @property
    def plain(self) -> dict[str, Value]:
        """What is told beside the state, in both documents."""
        shown = {} if self.shown is None else dict(self.shown.data)
        return {name: value for name, value in shown.items() if self.sealed is not None or name not in SEALED_FIELDS}

    @property
    def beside_the_seal(self) -> dict[str, Value]:
        """What the sealed document says besides what is sealed."""
        data = {} if self.sealed is None else self.sealed.data
        return {name: value for name, value in data.items() if name not in SEALED_FIELDS}


def read_stored(documents: Documents, uid: Uid) -> Stored:
    """Read both documents in one round trip. A commit may fall between the two reads; see `read_steady`."""
    sealed, shown = documents.get_all([state_path(uid), account_path(uid)])
    return Stored(sealed=sealed, shown=shown)


def read_steady(documents: Documents, uid: Uid) -> Stored:
    """Read both documents as one commit has written them. Raises StoreUnavailable while commits come too fast."""
    sealed = documents.get(state_path(uid))
    for _ in range(STEADY_READS_MAX):
        shown, before = documents.get(account_path(uid)), sealed
        sealed = documents.get(state_path(uid))
        if _version(sealed) == _version(before):
            return Stored(sealed=sealed, shown=shown)
    raise StoreUnavailable("This account changes faster than it can be read; try again.")


def _version(document: Document | None) -> Version | None:
    return None if document is None else document.version


def account_writes(uid: Uid, sealed: Data, shown: Data, version: Version | None) -> list[Write]:
    """Write both documents on condition that neither was changed since `version`; the sealed one comes first.

    `version` is what `Stored.version` or `committed_version` says. For an account of the old form it names
    `accounts/{uid}` alone: an instance that knows only that form cannot commit afterwards, as its own precondition
    fails, and two that move the same account at once collide.
    """
    of_sealed, of_shown = (None, None) if version is None else cast("tuple[Version | None, Version | None]", version)
    return [_written(state_path(uid), sealed, of_sealed), _written(account_path(uid), shown, of_shown)]


def committed_version(versions: Sequence[Version]) -> Version:
    """Return the version of an account whose documents a commit wrote first."""
    return (versions[0], versions[1])


def _written(path: str, data: Data, version: Version | None) -> Write:
    return Create(path, data) if version is None else Put(path, data, version)


def account_path(uid: Uid) -> str:
    """`accounts/{uid}`: what a listener shows."""
    return f"accounts/{uid}"


def state_path(uid: Uid) -> str:
    """`accounts/{uid}/sealed/state`."""
    return f"accounts/{uid}/sealed/state"


def due_shard(uid: Uid) -> int:
    """The shard of sweeps that an account belongs to."""
    return hashlib.sha256(uid.encode()).digest()[0] % DUE_SHARDS


def plain_fields(account: Account) -> dict[str, Value]:
    """What a listener sees: the balance as `GET /v1/credits/balance` says it, without the lots."""
    available, held = account.available, account.held
    return {
        "available": format_credits(available),
        "held": format_credits(held),
        "total": format_credits(available + held),
        "debt": format_credits(account.debt),
        "status": account.status,
        "seq": account.seq,
        "updated_at": rfc3339(account.at),
    }


def sweep_fields(account: Account) -> dict[str, Value]:
    """What the sealed document says besides what is sealed: when a sweep has something to do."""
    due_at = account.due_at
    return {
        "schema": SCHEMA,
        "due_shard": due_shard(account.uid),
        "due_at": None if due_at is None else to_datetime(due_at),
    }


def old_plain_fields(account: Account) -> dict[str, Value]:
    """What an account of the old form says beside its state: amounts in µcr."""
    return {
        "available": account.available,
        "held": account.held,
        "debt": account.debt,
        "status": account.status,
        "seq": account.seq,
        "updated_at": to_datetime(account.at),
        **sweep_fields(account),
    }


def is_told(stored: Stored, account: Account) -> bool:
    """Return True if both documents say beside the state what the state says."""
    if stored.is_old:
        return _typed(stored.plain) == _typed(old_plain_fields(account))
    is_shown = _typed(stored.plain) == _typed(plain_fields(account))
    return is_shown and _typed(stored.beside_the_seal) == _typed(sweep_fields(account))


def uid_of(path: str) -> Uid:
    """Return whose account a document below `accounts/` belongs to."""
    return Uid(path.split("/")[1])


def _typed(data: Mapping[str, object]) -> Mapping[str, tuple[type, object]]:
    """With the types, as False is not 0 here."""
    return {name: (type(value), value) for name, value in data.items()}


def unique(uids: Sequence[Uid]) -> list[Uid]:
    """Return each once, in order."""
    return list(dict.fromkeys(uids))
