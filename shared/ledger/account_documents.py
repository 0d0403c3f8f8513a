"""The two documents of an account: the sealed state, which is the truth, and the balance that a listener shows.

One commit writes both documents and requires the last read version of each, so that the next operation finds an edit of
either. Only the server reads `accounts/{uid}/sealed/state`. `accounts/{uid}` is derived and has the names, units and
times of `GET /v1/credits/balance`. An account stored in the old form has both in `accounts/{uid}`, with integer
amounts; the account's next commit writes the new form.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from shared.kernel.canonical import canonical
from shared.kernel.clock import from_datetime, rfc3339, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, Put, StoreUnavailable, Value, Version, Write
from shared.kernel.due import DueList
from shared.kernel.ids import Uid
from shared.kernel.money import format_credits
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account import Account

SCHEMA = 1
SEALED_FIELDS = frozenset({"state", "seal", "version", "nonce"})
NO_FACTS = frozenset({SCHEMA_VERSION})
"""Fields of either document that say nothing about the account: a migration may write them beside the seal."""
DUE_SHARDS = 16
"""Number of index ranges in which sweeps find accounts by time. A single range would be a hotspot."""
DUE_ACCOUNTS = DueList(collection="sealed", is_group=True, shards=DUE_SHARDS)
DUE_OLD_ACCOUNTS = DueList(collection="accounts", shards=DUE_SHARDS)
"""Due accounts of the old form, in which one document has all fields."""
STEADY_READS_MAX = 20
"""Largest number of times that the two documents are read until no commit falls between the reads."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StoredAccount:
    """Documents of an account as read: `sealed` has the state, `shown` has the fields that a listener sees.

    In the old form `sealed` is None, and `shown` has all fields.
    """

    sealed: Document | None
    shown: Document | None

    @property
    def is_old(self) -> bool:
        """True for an account of the old form."""
        return self.sealed is None and self.shown is not None and "state" in self.shown.data

    @property
    def version(self) -> Version | None:
        """Versions of both documents, which the next commit requires; None for an account that has no document."""
        versions = (_version(self.sealed), _version(self.shown))
        return None if versions == (None, None) else versions

    @property
    def state(self) -> Document | None:
        """Document that has the state; None for an account that has no document."""
        return self.shown if self.sealed is None else self.sealed

    @property
    def plain(self) -> dict[str, Value]:
        """Fields outside the sealed state in `shown`."""
        shown = {} if self.shown is None else self.shown.data
        left_out = NO_FACTS if self.sealed is not None else SEALED_FIELDS | NO_FACTS
        return {name: value for name, value in shown.items() if name not in left_out}

    @property
    def beside_the_seal(self) -> dict[str, Value]:
        """Fields of the sealed document that the seal does not cover."""
        data = {} if self.sealed is None else self.sealed.data
        return {name: value for name, value in data.items() if name not in SEALED_FIELDS | NO_FACTS}


def read_stored(documents: Documents, uid: Uid) -> StoredAccount:
    """Return both documents of the account, read in one round trip.

    A commit may fall between the two reads; see `read_steady`.
    """
    sealed, shown = documents.get_all([state_path(uid), account_path(uid)])
    return StoredAccount(sealed=sealed, shown=shown)


def read_steady(documents: Documents, uid: Uid) -> StoredAccount:
    """Return both documents as one commit has written them. Raises StoreUnavailable while commits come too fast.

    One commit gives both documents the same version. If the versions differ to the end, a stranger has written a
    document: both are returned as found.
    """
    found, sealed = None, documents.get(state_path(uid))
    for _ in range(STEADY_READS_MAX):
        shown, before = documents.get(account_path(uid)), sealed
        sealed = documents.get(state_path(uid))
        if _version(sealed) == _version(before):
            found = StoredAccount(sealed=sealed, shown=shown)
            if sealed is None or _version(sealed) == _version(shown):
                return found
    if found is None:
        raise StoreUnavailable("This account changes faster than it can be read; try again.")
    return found


def _version(document: Document | None) -> Version | None:
    return None if document is None else document.version


def account_writes(uid: Uid, sealed: Data, shown: Data, version: Version | None) -> list[Write]:
    """Return the writes of both documents, the sealed one first. The commit fails if either changed since `version`.

    `version` is the value of `StoredAccount.version` or `committed_version`. For an account of the old form `version`
    names `accounts/{uid}` alone. An instance that knows only the old form then cannot commit, since its precondition
    fails. Two instances that move the same account at the same time collide.
    """
    of_sealed, of_shown = (None, None) if version is None else cast("tuple[Version | None, Version | None]", version)
    return [_written(state_path(uid), sealed, of_sealed), _written(account_path(uid), shown, of_shown)]


def moving_writes(uid: Uid, stored: StoredAccount, account: Account) -> list[Write]:
    """Return the writes that give an account of the old form its two documents, with state, seal and number unchanged.

    `account` is the verified state of `stored`.
    """
    old = {} if stored.state is None else stored.state.data
    sealed = {**{name: old[name] for name in sorted(SEALED_FIELDS)}, **sweep_fields(account)}
    return account_writes(uid, sealed, plain_fields(account), stored.version)


def committed_version(versions: Sequence[Version]) -> Version:
    """Return the version of an account from the versions of a commit that wrote the account's documents first."""
    return (versions[0], versions[1])


def _written(path: str, data: Data, version: Version | None) -> Write:
    return Create(path, data) if version is None else Put(path, data, version)


def account_path(uid: Uid) -> str:
    """Return `accounts/{uid}`, the path of the document that the user's app may listen to."""
    return f"accounts/{uid}"


def state_path(uid: Uid) -> str:
    """Return `accounts/{uid}/sealed/state`, the path of the sealed document."""
    return f"accounts/{uid}/sealed/state"


def due_shard(uid: Uid) -> int:
    """Return the shard of the sweeps that covers the account."""
    return hashlib.sha256(uid.encode()).digest()[0] % DUE_SHARDS


def plain_fields(account: Account) -> dict[str, Value]:
    """Return the fields that a listener sees: the balance as in `GET /v1/credits/balance`, without the lots."""
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
    """Return the unsealed fields of the sealed document: schema, sweep shard, and the time of the next sweep."""
    due_at = account.due_at
    return {
        "schema": SCHEMA,
        "due_shard": due_shard(account.uid),
        "due_at": None if due_at is None else to_datetime(due_at),
    }


def old_plain_fields(account: Account) -> dict[str, Value]:
    """Return the unsealed fields of an account of the old form, with amounts in µcr."""
    return {
        "available": account.available,
        "held": account.held,
        "debt": account.debt,
        "status": account.status,
        "seq": account.seq,
        "updated_at": to_datetime(account.at),
        **sweep_fields(account),
    }


def exported(value: Value) -> object:
    """Return a stored value in the form of an export: times as RFC 3339."""
    return rfc3339(from_datetime(value)) if isinstance(value, datetime) else value


def is_told(stored: StoredAccount, account: Account) -> bool:
    """Return True if the unsealed fields of both documents agree with the state."""
    if stored.is_old:
        return _typed(stored.plain) == _typed(old_plain_fields(account))
    is_shown = _typed(stored.plain) == _typed(plain_fields(account))
    return is_shown and _typed(stored.beside_the_seal) == _typed(sweep_fields(account))


def uid_of(path: str) -> Uid:
    """Return the user whose account contains the document at `path`, below `accounts/`."""
    return Uid(path.split("/")[1])


def _typed(data: Mapping[str, object]) -> Mapping[str, tuple[type, object]]:
    """Return each value with its type, since False equals 0 in Python but not in a document."""
    return {name: (type(value), value) for name, value in data.items()}


def unique(uids: Sequence[Uid]) -> list[Uid]:
    """Return the users without repetition, in order."""
    return list(dict.fromkeys(uids))


def seal_message(ledger: str, uid: Uid, number: int, nonce: str, state: str) -> bytes:
    """Return the message that the seal signs: the account, the number of the commit, and the state's SHA-256."""
    digest = hashlib.sha256(state.encode()).hexdigest()
    return canonical({"ledger": ledger, "uid": uid, "version": number, "nonce": nonce, "state": digest})
