"""Signing keys: each signature names its key's id. The first key of the ring signs, all keys verify.

The cryptography library is imported when the first ring is made. Deciding, folding and reading need no key.
"""

import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ledger.errors import UnknownKey

if TYPE_CHECKING:
    from shared.kernel.settings import SigningKey

ENTRY_CONTEXT = b"ics-entry-v1:"
SEAL_CONTEXT = b"ics-seal-v1:"
MARK_CONTEXT = b"ics-mark-v1:"
AUDIT_CONTEXT = b"ics-audit-v1:"
"""Contexts of signatures. The context is signed with the message, so that no signature passes for another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """Key of the public registry (`GET /v1/ledger/keys`): raw Ed25519 public key, base64."""

    kid: str
    public_key: str
    status: str

    def to_json(self) -> Mapping[str, str]:
        """Return the registry's line. A retired key will also name its end.

        The line is `{"kid", "alg", "public_key", "status"}`.
        """
        return {"kid": self.kid, "alg": "Ed25519", "public_key": self.public_key, "status": self.status}


class Verifier:
    """Signature checks with public keys only, such as an auditor makes."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self._forged = InvalidSignature
        self._keys = {key.kid: Ed25519PublicKey.from_public_bytes(from_base64(key.public_key)) for key in keys}

    def is_signed(self, context: bytes, message: bytes, *, kid: str, signature: str) -> bool:
        """Return True if key `kid` signed `message` (RFC 8032). Raises UnknownKey if this ring has no such key."""
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey(kid)
        try:
            key.verify(from_base64(signature), context + message)
        except (self._forged, ValueError):
            return False
        return True


class KeyRing(Verifier):
    """Signing and verifying keys of the ledger. `kid` names the signing key."""

    def __init__(self, keys: "tuple[SigningKey, ...]") -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._marking = {key.kid: hashlib.sha256(MARK_CONTEXT + key.seed).digest() for key in keys}
        self._signing = Ed25519PrivateKey.from_private_bytes(keys[0].seed)
        self.kid = keys[0].kid
        self.registry = tuple(_public(key, "signing" if key is keys[0] else "verifying") for key in keys)
        super().__init__(self.registry)

    def sign(self, context: bytes, message: bytes) -> str:
        """Return the Ed25519 signature (RFC 8032) of `message` in its context, base64."""
        return to_base64(self._signing.sign(context + message))

    def mark(self, message: bytes) -> str:
        """Return `kid:tag`, where the tag is an HMAC-SHA256 (RFC 2104). For messages that only the ledger must check.

        Without the key, a mark is as hard to forge as a signature. A mark takes a twentieth of a signature's time.
        """
        return f"{self.kid}:{_tag(self._marking[self.kid], message)}"

    def is_marked(self, message: bytes, mark: str) -> bool:
        """Return True if a key of this ring made this mark for `message`.

        Raises UnknownKey if the ring lacks the named key.
        """
        kid, colon, tag = mark.partition(":")
        if not colon:
            return False
        if kid not in self._marking:
            raise UnknownKey(kid)
        return hmac.compare_digest(_tag(self._marking[kid], message).encode(), tag.encode("utf-8", "replace"))


def _tag(key: bytes, message: bytes) -> str:
    return to_base64(hmac.digest(key, message, "sha256"))


def _public(key: "SigningKey", status: str) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    raw = Ed25519PrivateKey.from_private_bytes(key.seed).public_key().public_bytes_raw()
    return PublicKey(kid=key.kid, public_key=to_base64(raw), status=status)


def to_base64(raw: bytes) -> str:
    """Return standard base64 (RFC 4648), padded."""
    return binascii.b2a_base64(raw, newline=False).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes encoded in strict, padded base64. Raises ValueError for any other text."""
    return binascii.a2b_base64(text, strict_mode=True)
