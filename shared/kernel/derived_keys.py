"""Keys for one purpose each, derived from a secret that has another purpose."""

import hashlib
import hmac


def derived_key(secret: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """Return 32 bytes for the purpose `info` (HKDF-SHA-256, RFC 5869; one block)."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
