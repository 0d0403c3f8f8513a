"""Check of Ed25519 public keys: one encoding, on the curve, and of the large prime order (RFC 8032, 5.1.3).

Some verifiers accept a signature under a key of low order for any message. So a key of low order, or with a part of low
order, is refused before a signature is checked. No honest key has such a part.
"""

from functools import lru_cache
from typing import TypeAlias

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
SQRT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
KEY_BYTES = 32
SIGN_BIT = 255

Point: TypeAlias = tuple[int, int, int, int]
"""Point in extended coordinates X, Y, Z and T. Then x is X / Z, y is Y / Z, and x · y is T / Z."""
NEUTRAL: Point = (0, 1, 1, 0)


@lru_cache(maxsize=256)
def public_key_problem(raw: bytes) -> str | None:
    """Return the reason to refuse a raw public key; None for a good key."""
    if len(raw) != KEY_BYTES:
        return f"a public key has {KEY_BYTES} bytes"
    encoded = int.from_bytes(raw, "little")
    y, sign = encoded & ((1 << SIGN_BIT) - 1), encoded >> SIGN_BIT
    if y >= P:
        return "the key is not canonical"
    x = _x_of(y, sign)
    if x is None:
        return "the key is no point of the curve"
    if _is_neutral(_times(8, (x, y, 1, x * y % P))):
        return "the key has a low order"
    if not _is_neutral(_times(ORDER, (x, y, 1, x * y % P))):
        return "a part of the key has a low order"
    return None


def _x_of(y: int, sign: int) -> int | None:
    """Return x of the point with this y whose lowest bit is `sign`; None if there is no such point."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == P - u:
        x = x * SQRT_OF_MINUS_ONE % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    return x if x % 2 == sign else P - x


def _times(factor: int, point: Point) -> Point:
    result = NEUTRAL
    while factor:
        if factor & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        factor >>= 1
    return result


def _sum(one: Point, other: Point) -> Point:
    """Return the sum of two points (RFC 8032, 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _is_neutral(point: Point) -> bool:
    x, y, z, _ = point
    return x % P == 0 and (y - z) % P == 0
