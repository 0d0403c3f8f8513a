"""Verification of API keys: usually from memory, at most one read, and never more than seconds behind a revocation."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.users.api_keys import PREFIX, ApiKey, ApiKeys, id_of, is_key
from shared.users.ports import Unauthenticated
from shared.users.principal import Principal

KNOWN_SECONDS = 4.0
"""Time for which a read key is trusted. The limit of five seconds for a revoked key to stop everywhere is longer."""
UNKNOWN_SECONDS = 4.0
KNOWN_MAX = 10_000
UNKNOWN_MAX = 10_000
"""Most unknown ids in memory. They have their own limit, so that guessed keys push out no real key."""
USED_EVERY: Millis = MINUTE


class ApiKeyInvalid(Unauthenticated):
    """Error for a text that is no API key, or is a revoked API key."""

    code = "api_key_invalid"

    def __init__(self) -> None:
        super().__init__("The API key is not valid.")


class ApiKeyExpired(Unauthenticated):
    """Error for an API key whose `expires_at` has passed."""

    code = "api_key_expired"

    def __init__(self) -> None:
        super().__init__("The API key has expired.")


@dataclass(frozen=True, slots=True)
class _KnownKey:
    key: ApiKey
    until: float


class KeyLookup:
    """Verifier of API keys. Safe to share between threads."""

    def __init__(self, keys: ApiKeys, clock: Clock, spawn: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._keys = keys
        self._clock = clock
        self._spawn = spawn or _in_thread
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _KnownKey] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._noted: OrderedDict[str, Millis] = OrderedDict()

    @staticmethod
    def looks_like_one(token: str) -> bool:
        """Return True if a bearer token has the prefix of an API key."""
        return token.startswith(PREFIX)

    def verify(self, text: str) -> Principal:
        """Return the principal of this key. Raises ApiKeyInvalid, ApiKeyExpired."""
        if not is_key(text):
            raise ApiKeyInvalid
        key = self._remembered(key_id := id_of(text)) or self._read(key_id)
        if not key.is_of(text):
            raise ApiKeyInvalid
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise ApiKeyExpired
        self._note_use(key)
        return key.principal

    def forget_key(self, key_id: str) -> None:
        """Drop a key that was revoked here from memory, so that the next call reads the store."""
        with self._lock:
            self._known.pop(key_id, None)

    def _remembered(self, key_id: str) -> ApiKey | None:
        with self._lock:
            now = self._clock.monotonic()
            if self._unknown.get(key_id, 0.0) > now:
                raise ApiKeyInvalid
            known = self._known.get(key_id)
            return known.key if known is not None and known.until > now else None

    def _read(self, key_id: str) -> ApiKey:
        """Read the key from the store. Raises ApiKeyInvalid.

        The answer counts from the moment of the question, since the key may change while the store answers.
        """
        asked_at = self._clock.monotonic()
        key = self._keys.find(key_id)
        with self._lock:
            if key is None:
                _put(self._unknown, key_id, asked_at + UNKNOWN_SECONDS, UNKNOWN_MAX)
                self._known.pop(key_id, None)
                raise ApiKeyInvalid
            _put(self._known, key_id, _KnownKey(key, asked_at + KNOWN_SECONDS), KNOWN_MAX)
        return key

    def _note_use(self, key: ApiKey) -> None:
        """Store the use of the key at most once per USED_EVERY, on another thread.

        A failure is logged and does not affect the call.
        """
        now = self._clock.now()
        with self._lock:
            last = max(self._noted.get(key.id, 0), key.last_used_at or 0)
            if now - last < USED_EVERY:
                return
            _put(self._noted, key.id, now, KNOWN_MAX)
        self._spawn(lambda: self._write_use(key.id))

    def _write_use(self, key_id: str) -> None:
        try:
            self._keys.used(key_id)
        except DomainError as error:
            log("key_use_not_noted", "WARNING", key_id=key_id, code=error.code)


def _put(remembered: OrderedDict, key_id: str, value: object, most: int) -> None:  # type: ignore[type-arg]
    remembered[key_id] = value
    remembered.move_to_end(key_id)
    while len(remembered) > most:
        remembered.popitem(last=False)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="key used", daemon=True).start()
