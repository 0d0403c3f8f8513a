"""API keys: made once and shown once, stored as a hash, found by it in one read.

A key is `ics_` and 48 hex digits: 160 random bits and a checksum of 32, so that a typing error is refused without a
look, and a scanner for secrets can tell a key from noise. Its id is derived from its hash, so that whoever presents it
names its document; `users/{uid}/settings/api_keys` lists the ids of one user's, and bounds them.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from shared.kernel.clock import Clock, Millis, from_datetime, to_datetime
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

KEY_VERSION = 1
PREFIX = "ics_"
SECRET_BYTES = 20
KEY = re.compile(r"ics_[0-9a-f]{48}", re.ASCII)
CHECKSUM_DIGITS = 8
SHOWN_DIGITS = 4
KEYS_MAX = 50
"""So many keys a user may have at a time."""
NAME_CHARACTERS_MAX = 100
WRITE_ATTEMPTS_MAX = 5
COLLECTION = "api_keys"


class KeyNotFound(NotFound):
    """There is no such API key, or it is another user's."""

    code = "key_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such API key.")


class KeyShownBefore(Conflict):
    """The first request with this idempotency key made the API key `id` and showed it; it is shown once."""

    code = "key_shown_before"

    def __init__(self, key_id: str) -> None:
        super().__init__("This key was made before and is shown once only; revoke it if it is lost.", id=key_id)


class TooManyKeys(Rejected):
    """A user has only so many API keys at a time; revoke one first."""

    code = "too_many_keys"

    def __init__(self) -> None:
        super().__init__(f"There are {KEYS_MAX} API keys already; revoke one first.", limit=KEYS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWanted:
    """What a new key shall be."""

    name: str
    scopes: frozenset[Scope]
    cap: SpendCap | None = None
    expires_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key as it is stored: `hash` is the SHA-256 of its text, of which the last digits are kept for its owner."""

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
        """Whether `text` is this key, told in constant time."""
        return hmac.compare_digest(self.hash, hash_of(text))

    @property
    def principal(self) -> Principal:
        """Who calls with it."""
        return Principal(
            uid=self.uid, auth="api_key", key=KeyUse(id=self.id, scopes=self.scopes, cap=self.cap), is_anonymous=False
        )


def new_key() -> str:
    """A fresh key."""
    secret = random_token(SECRET_BYTES)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_key(text: str) -> bool:
    """Whether `text` can be a key: of the right form, with the checksum that belongs to it."""
    return (
        KEY.fullmatch(text) is not None and _checksum(text[len(PREFIX) : -CHECKSUM_DIGITS]) == text[-CHECKSUM_DIGITS:]
    )


def hash_of(text: str) -> str:
    """What is stored of a key. One that is random needs no slow hash: there is nothing to guess."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_of(text: str) -> str:
    """The id of a key, which says nothing of it."""
    return derived_id("key", hash_of(text))


def _checksum(secret: str) -> str:
    return f"{binascii.crc32(secret.encode()):08x}"


@dataclass(frozen=True, slots=True)
class _Roster:
    """The ids of a user's keys, oldest first, as one document that every new or revoked key changes."""

    ids: tuple[str, ...]
    version: Version | None


class ApiKeys:
    """The collection `api_keys`, and the roster of each user's."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, expired or not: one read."""
        document = self._documents.get(_path(key_id))
        return None if document is None else _key(document)

    def of(self, uid: Uid) -> list[ApiKey]:
        """All of a user's keys, newest first."""
        return self._keys(self._roster(uid))[::-1]

    def create(self, uid: Uid, wanted: KeyWanted, operation: OperationId, fingerprint: str) -> tuple[ApiKey, str]:
        """A new key, and its text, which nobody can say again.

        Raises TooManyKeys; for an operation that made one already KeyShownBefore, or IdempotencyMismatch.
        """
        text = new_key()
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
        """Forget the key: whoever presents it is nobody, here at once and everywhere within seconds.

        Raises KeyNotFound, also for another user's.
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
        """Remember that it was used now. Raises PreconditionFailed if it was revoked meanwhile."""
        self._documents.commit([Patch(_path(key_id), {"last_used_at": to_datetime(self._clock.now())})])

    def erase(self, uid: Uid) -> None:
        """Forget all of them: the user leaves."""
        while (roster := self._roster(uid)).version is not None:
            gone = [Delete(_path(key_id)) for key_id in roster.ids]
            try:
                self._documents.commit([*gone, Delete(_roster_path(uid), roster.version)])
            except PreconditionFailed:
                continue

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
    data: Data = {"v": KEY_VERSION, "uid": uid, "ids": list(ids)}
    path = _roster_path(uid)
    return Create(path, data) if roster.version is None else Put(path, data, roster.version)


def _data(key: ApiKey) -> dict[str, Value]:
    cap: Value = None if key.cap is None else {"amount": key.cap.amount, "period": key.cap.period}
    return {
        "v": KEY_VERSION,
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
