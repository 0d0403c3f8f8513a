"""API keys: made once, shown once, stored as a hash, and found by that hash in one read.

A key is `ics_` and 48 hex digits: 160 random bits and a checksum of 32. So a typing error is refused without a read,
and a scanner for secrets can tell a key from noise. The id of a key is derived from its hash, so that the key alone
leads to its document. `users/{uid}/settings/api_keys` lists the ids of a user's keys and bounds their number.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from shared.kernel.clock import Clock, Millis, from_datetime, to_datetime
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Patch,
    PreconditionFailed,
    Put,
    Value,
    Version,
)
from shared.kernel.errors import Conflict, IdempotencyMismatch, NotFound, Rejected
from shared.kernel.ids import OperationId, Uid, derived_id, random_token
from shared.kernel.money import Micro
from shared.users.principal import KeyUse, Principal, Scope
from shared.users.spend_cap import Period, SpendCap

PREFIX = "ics_"
SECRET_BYTES = 20
KEY = re.compile(r"ics_[0-9a-f]{48}", re.ASCII)
CHECKSUM_DIGITS = 8
SHOWN_DIGITS = 4
KEYS_MAX = 50
"""Most API keys that a user may have at a time."""
NAME_CHARACTERS_MAX = 100
WRITE_ATTEMPTS_MAX = 5
COLLECTION = "api_keys"


class KeyNotFound(NotFound):
    """Error for an API key that does not exist or belongs to another user."""

    code = "key_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such API key.")


class KeyShownBefore(Conflict):
    """Error for a repeated request: the first one made and showed the API key `id`, and a key is shown once only."""

    code = "key_shown_before"

    def __init__(self, key_id: str) -> None:
        super().__init__("This key was made before and is shown once only; revoke it if it is lost.", id=key_id)


class TooManyKeys(Rejected):
    """Error for a user who has KEYS_MAX API keys already and must revoke one first."""

    code = "too_many_keys"

    def __init__(self) -> None:
        super().__init__(f"There are {KEYS_MAX} API keys already; revoke one first.", limit=KEYS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWanted:
    """Properties of a new key.

    `cap` is None for a key without a spend cap, `expires_at` (ms) None for one without an end.
    """

    name: str
    scopes: frozenset[Scope]
    cap: SpendCap | None = None
    expires_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Stored API key. `hash` is the SHA-256 of the key's text. The last digits are stored for the owner.

    `cap` is None without a spend cap, `expires_at` without an end, `last_used_at` if the key was never used; times in
    ms.
    """

    id: str
    uid: Uid
    name: str
    scopes: frozenset[Scope]
    cap: SpendCap | None
    hash: str
    last_four: str
    created_at: Millis
    expires_at: Millis | None
    last_used_at: Millis | None

    def is_of(self, text: str) -> bool:
        """Return True if `text` is this key. The comparison takes constant time."""
        return hmac.compare_digest(self.hash, hash_of(text))

    @property
    def principal(self) -> Principal:
        """Return the principal that calls with this key."""
        return Principal(
            uid=self.uid, auth="api_key", key=KeyUse(id=self.id, scopes=self.scopes, cap=self.cap), is_anonymous=False
        )


def new_key() -> str:
    """Return the text of a new random key."""
    secret = random_token(SECRET_BYTES)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_key(text: str) -> bool:
    """Return True if `text` has the form of a key and the matching checksum."""
    return (
        KEY.fullmatch(text) is not None and _checksum(text[len(PREFIX) : -CHECKSUM_DIGITS]) == text[-CHECKSUM_DIGITS:]
    )


def hash_of(text: str) -> str:
    """Return the stored hash of a key. A random key needs no slow hash, since nobody can guess the key."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_of(text: str) -> str:
    """Return the id of a key, which reveals nothing of the key."""
    return derived_id("key", hash_of(text))


def _checksum(secret: str) -> str:
    return f"{binascii.crc32(secret.encode()):08x}"


@dataclass(frozen=True, slots=True)
class _Roster:
    """List of the ids of a user's keys, oldest first, as one document that every new or revoked key changes."""

    ids: tuple[str, ...]
    version: Version | None


class ApiKeys:
    """Collection `api_keys`, with the roster of each user's keys. `make_text` makes the text of a new key."""

    def __init__(self, documents: Documents, clock: Clock, make_text: Callable[[], str] = new_key) -> None:
        self._documents = documents
        self._clock = clock
        self._make_text = make_text

    def find(self, key_id: str) -> ApiKey | None:
        """Return the key with this id, expired or not, in one read; None if there is none."""
        document = self._documents.get(_path(key_id))
        return None if document is None else _key(document)

    def of(self, uid: Uid) -> list[ApiKey]:
        """Return all of a user's keys, newest first."""
        return self._keys(self._roster(uid))[::-1]

    def create(self, uid: Uid, wanted: KeyWanted, operation: OperationId, fingerprint: str) -> tuple[ApiKey, str]:
        """Create a key and return it with its text, which cannot be shown again.

        Raises TooManyKeys. If the operation made a key before, raises KeyShownBefore, or IdempotencyMismatch for
        another `fingerprint`.
        """
        text = self._make_text()
        for attempt in range(WRITE_ATTEMPTS_MAX):
            roster = self._roster(uid)
            self._refuse_second(roster, operation, fingerprint)
            if len(roster.ids) >= KEYS_MAX:
                raise TooManyKeys
            key = self._made(uid, wanted, text)
            data = {**_data(key), "operation": operation, "fingerprint": fingerprint}
            try:
                self._documents.commit([Create(_path(key.id), data), _rostered(uid, roster, (*roster.ids, key.id))])
                return key, text
            except PreconditionFailed:
                if attempt == WRITE_ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    def revoke(self, uid: Uid, key_id: str) -> ApiKey:
        """Delete the key. Callers with this key are refused here at once, and everywhere within seconds.

        Raises KeyNotFound, also for another user's key.
        """
        for attempt in range(WRITE_ATTEMPTS_MAX):
            roster, key = self._roster(uid), self.find(key_id)
            if key is None or key.uid != uid:
                raise KeyNotFound
            kept = tuple(each for each in roster.ids if each != key_id)
            try:
                self._documents.commit([Delete(_path(key_id)), _rostered(uid, roster, kept)])
                return key
            except PreconditionFailed:
                if attempt == WRITE_ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    def used(self, key_id: str) -> None:
        """Store now as the last use of the key. Raises PreconditionFailed if the key was revoked meanwhile."""
        self._documents.commit([Patch(_path(key_id), {"last_used_at": to_datetime(self._clock.now())})])

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all keys of a user who leaves."""
        while (roster := self._roster(uid)).version is not None:
            gone = [Delete(_path(key_id)) for key_id in roster.ids]
            try:
                self._documents.commit([*gone, Delete(_roster_path(uid), roster.version)])
            except PreconditionFailed:
                if deadline.is_over():
                    return False
        return True

    def _refuse_second(self, roster: _Roster, operation: OperationId, fingerprint: str) -> None:
        for document in self._documents.get_all([_path(key_id) for key_id in roster.ids]):
            if document is not None and document.data["operation"] == operation:
                if document.data["fingerprint"] != fingerprint:
                    raise IdempotencyMismatch
                raise KeyShownBefore(document.id)

    def _made(self, uid: Uid, wanted: KeyWanted, text: str) -> ApiKey:
        return ApiKey(
            id=id_of(text),
            uid=uid,
            name=wanted.name,
            scopes=wanted.scopes,
            cap=wanted.cap,
            hash=hash_of(text),
            last_four=text[-SHOWN_DIGITS:],
            created_at=self._clock.now(),
            expires_at=wanted.expires_at,
            last_used_at=None,
        )

    def _roster(self, uid: Uid) -> _Roster:
        document = self._documents.get(_roster_path(uid))
        if document is None:
            return _Roster((), None)
        return _Roster(tuple(cast("Sequence[str]", document.data["ids"])), document.version)

    def _keys(self, roster: _Roster) -> list[ApiKey]:
        found = self._documents.get_all([_path(key_id) for key_id in roster.ids])
        return [_key(document) for document in found if document is not None]


def _path(key_id: str) -> str:
    return f"{COLLECTION}/{key_id}"


def _roster_path(uid: Uid) -> str:
    return f"users/{uid}/settings/api_keys"


def _rostered(uid: Uid, roster: _Roster, ids: Sequence[str]) -> Create | Put:
    data: Data = {"uid": uid, "ids": list(ids)}
    path = _roster_path(uid)
    return Create(path, data) if roster.version is None else Put(path, data, roster.version)


def _data(key: ApiKey) -> dict[str, Value]:
    cap: Value = None if key.cap is None else {"amount": key.cap.amount, "period": key.cap.period}
    return {
        "uid": key.uid,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "cap": cap,
        "hash": key.hash,
        "last_four": key.last_four,
        "created_at": to_datetime(key.created_at),
        "expires_at": None if key.expires_at is None else to_datetime(key.expires_at),
        "last_used_at": None,
    }


def _key(document: Document) -> ApiKey:
    """Return the API key in this document. Its secret is not stored, only a hash."""
    # Written by us alone: every field is there and of its type.
    data = cast("Mapping[str, Any]", document.data)
    cap = data["cap"] and SpendCap(amount=Micro(data["cap"]["amount"]), period=cast("Period", data["cap"]["period"]))
    return ApiKey(
        id=document.id,
        uid=Uid(data["uid"]),
        name=data["name"],
        scopes=frozenset(data["scopes"]),
        cap=cap,
        hash=data["hash"],
        last_four=data["last_four"],
        created_at=from_datetime(data["created_at"]),
        expires_at=_millis(data["expires_at"]),
        last_used_at=_millis(data["last_used_at"]),
    )


def _millis(value: datetime | None) -> Millis | None:
    return None if value is None else from_datetime(value)
