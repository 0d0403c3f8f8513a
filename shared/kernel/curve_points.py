"""Ed25519 public keys as points of edwards25519: only canonical points of large order are keys (RFC 8032, 5.1.3).

A signature by a key of low order fits many messages. A point with two spellings gives one key two names. Libraries
differ in both cases, so such keys are refused before any signature is checked.
"""

PUBLIC_KEY_BYTES = 32
_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_SIGN_BIT = 1 << 255


class UnsoundKey(ValueError):
    """Refusal of bytes that are no Ed25519 public key, or a key that must not be trusted."""


def require_sound_key(raw: bytes) -> None:
    """Raise UnsoundKey unless `raw` is the canonical encoding of a point of edwards25519 of large order."""
    if len(raw) != PUBLIC_KEY_BYTES:
        raise UnsoundKey(f"An Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, and this has {len(raw)}.")
    number = int.from_bytes(raw, "little")
    y = number & (_SIGN_BIT - 1)
    if y >= _PRIME:
        raise UnsoundKey("The Ed25519 public key is not in canonical form.")
    x_squared = _x_squared(y)
    if x_squared and pow(x_squared, (_PRIME - 1) // 2, _PRIME) != 1:
        raise UnsoundKey("The Ed25519 public key is no point of the curve.")
    if _is_of_low_order(y, x_squared):
        raise UnsoundKey("The Ed25519 public key has a low order: anyone can sign for it.")


def _x_squared(y: int) -> int:
    return (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME


def _is_of_low_order(y: int, x_squared: int) -> bool:
    """Return True if eight times the point is the identity.

    Doubling gives y' = (y² + x²) / (2 - y² + x²). The identity has x = 0 and y = 1; a point with y = 1 has no other x.
    """
    for _ in range(3):
        denominator = (2 - y * y + x_squared) % _PRIME
        y = (y * y + x_squared) * pow(denominator, -1, _PRIME) % _PRIME
        x_squared = _x_squared(y)
    return y == 1
