"""Public keys of the ledger, and the checks of signatures under them. Each signature names a key's id.

A key is in force from `since` on. If the key is retired, `until` is its end: entries up to then stay valid, and no seal
of the key is valid any more, since all seals were made again before. The cryptography library is imported when the
first verifier is made. Deciding, folding and reading need no key.
"""

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from shared.kernel.clock import Millis, parse_rfc3339, rfc3339
from shared.ledger.errors import UnknownKey
from shared.ledger.public_points import public_key_problem

ENTRY_CONTEXT = b"ics-entry-v1:"
SEAL_CONTEXT = b"ics-seal-v1:"
MARK_CONTEXT = b"ics-mark-v1:"
AUDIT_CONTEXT = b"ics-audit-v1:"
KEY_CONTEXT = b"ics-key-v1:"
DAY_CONTEXT = b"ics-day-v1:"
REDACTION_CONTEXT = b"ics-redaction-v1:"
ARCHIVE_CONTEXT = b"ics-archive-v1:"
"""Contexts of signatures. The context is signed with the message, so that no signature passes for another kind."""

RETIRED_KEY = "retired_key"
"""Rule of a genuine signature of a retired key: on a seal, or on an entry from after the key's end."""
EARLY_KEY = "early_key"
"""Rule of a genuine signature on an entry from before its key was in force."""

KeyStatus: TypeAlias = Literal["signing", "verifying", "ending", "retired"]
"""State of a key. `verifying`: the key does not sign. `ending`: the key signs no more, and all accounts are sealed
again under another key. `retired`: that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """Key of the public registry (`GET /v1/ledger/keys`): raw Ed25519 public key, base64.

    The key is in force from `since` on, in ms. `until` is the end of a retired key; None while the key is in force.
    """

    kid: str
    public_key: str
    status: KeyStatus = "verifying"
    since: Millis = 0
    until: Millis | None = None

    def to_json(self) -> Mapping[str, str]:
        """Return the registry's line: `{"kid", "alg", "public_key", "status", "since"}`, and `until` if retired."""
        return {**self.exported(), "status": self.status}

    def exported(self) -> Mapping[str, str]:
        """Return the key as an export names it: `{"kid", "alg", "public_key", "since"}`, and `until` if retired."""
        end = {} if self.until is None else {"until": rfc3339(self.until)}
        return {
            "kid": self.kid,
            "alg": "Ed25519",
            "public_key": self.public_key,
            "since": rfc3339(self.since),
            **end,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the key in an answer of `GET /v1/ledger/keys` or in an export. `since` may be missing.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        kid, public_key, until = told["kid"], told["public_key"], told.get("until")
        return cls(
            kid=str(kid),
            public_key=str(public_key),
            status="verifying" if until is None else "retired",
            since=parse_rfc3339(told["since"]) if "since" in told else 0,
            until=None if until is None else parse_rfc3339(until),
        )

    def rule_at(self, at: Millis) -> str | None:
        """Return the law that a signature of the time `at` breaks: `early_key` or `retired_key`; None if none."""
        if at < self.since:
            return EARLY_KEY
        return None if self.until is None or at <= self.until else RETIRED_KEY


class Verifier:
    """Signature checks with public keys only, such as an auditor makes."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        """Take the keys. Raises ValueError for a key of low order, or that is no canonical public key."""
        from cryptography.exceptions import InvalidSignature

        self._forged = InvalidSignature
        self._keys = {key.kid: LoadedKey(key) for key in keys}

    def is_signed(self, context: bytes, message: bytes, *, kid: str, signature: str) -> bool:
        """Return True if key `kid` signed `message` (RFC 8032), at any time.

        Raises UnknownKey if this ring has no such key.
        """
        try:
            self._loaded(kid).raw.verify(from_base64(signature), context + message)
        except (self._forged, ValueError):
            return False
        return True

    def entry_rule(self, entry_hash: str, *, kid: str, signature: str, at: Millis) -> str | None:
        """Return the law that an entry's signature breaks: `signature`, `retired_key`, `early_key`; None if none.

        `at` is the entry's own time, in ms. Raises UnknownKey.
        """
        if not self.is_signed(ENTRY_CONTEXT, entry_hash.encode(), kid=kid, signature=signature):
            return "signature"
        return self._loaded(kid).key.rule_at(at)

    def time_rule(self, kid: str, at: Millis) -> str | None:
        """Return the law that key `kid` breaks by signing at the time `at` (ms); None if none. Raises UnknownKey."""
        key = self._loaded(kid).key
        return None if key.until is None and at >= key.since else key.rule_at(at)

    def seal_rule(self, context: bytes, message: bytes, *, kid: str, signature: str) -> str | None:
        """Return the law that a seal breaks: `seal` or `retired_key`; None if none. Raises UnknownKey.

        A seal has no time. Everything was sealed again before its key was retired.
        """
        if not self.is_signed(context, message, kid=kid, signature=signature):
            return "seal"
        return None if self._loaded(kid).key.until is None else RETIRED_KEY

    def _loaded(self, kid: str) -> "LoadedKey":
        loaded = self._keys.get(kid)
        if loaded is None:
            raise UnknownKey(kid)
        return loaded


class LoadedKey:
    """Public key with the library's form of it. Raises ValueError for a key that is not to be trusted."""

    def __init__(self, key: PublicKey) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raw = from_base64(key.public_key)
        if problem := public_key_problem(raw):
            raise ValueError(f"key {key.kid}: {problem}")
        self.key = key
        self.raw = Ed25519PublicKey.from_public_bytes(raw)


def to_base64(raw: bytes) -> str:
    """Return standard base64 (RFC 4648), padded."""
    return binascii.b2a_base64(raw, newline=False).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes encoded in strict, padded base64. Raises ValueError for any other text.

    Unused bits in front of the padding must be zero, so that each signature has one text.
    """
    raw = binascii.a2b_base64(text, strict_mode=True)
    if to_base64(raw) != text:
        raise ValueError("not the canonical base64 of its bytes")
    return raw
