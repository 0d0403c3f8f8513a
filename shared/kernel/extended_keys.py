"""Extended public keys (BIP 32, and the version bytes of SLIP 132), read with the standard library alone.

The texts of the errors continue after a setting's name, and never hold any part of the key.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CHECKSUM_BYTES = 4
PAYLOAD_BYTES = 78
KEY_CHARS_MAX = 120
ACCOUNT_DEPTH = 3
HARDENED = 1 << 31
POINT_PREFIXES = b"\x02\x03"
FIELD_PRIME = 2**256 - 2**32 - 977
"""Prime of the field of secp256k1."""

VERSIONS: Mapping[str, str] = {
    "0488b21e": "xpub", "049d7cb2": "ypub", "04b24746": "zpub", "0295b43f": "Ypub", "02aa7ed3": "Zpub",
    "043587cf": "tpub", "044a5262": "upub", "045f1cf6": "vpub", "024289ef": "Upub", "02575483": "Vpub",
}  # fmt: skip
"""Names of extended public keys by their version bytes."""
LIVE_KINDS = frozenset({"xpub", "ypub", "zpub", "Ypub", "Zpub"})

TYPING_ERROR = "has a typing error, since its checksum does not fit. Copy the whole text from the wallet again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedKey:
    """Extended public key as written. `kind` is the name by the version bytes, such as `zpub`.

    `child` is the last step of the key's path. `public_key` is the compressed point of 33 bytes.
    `chain_code` has 32 bytes.
    """

    kind: str
    depth: int
    child: int
    chain_code: bytes
    public_key: bytes

    @property
    def is_live(self) -> bool:
        """Return True if the version bytes stand for coins of value, False if they stand for test networks."""
        return self.kind in LIVE_KINDS


def extended_key(text: str, expected: str) -> ExtendedKey:
    """Return the extended public key in a text.

    Raises ValueError with the text `expected` if the text is no such key, else with the fault.
    """
    payload = base58_payload(text, expected)
    kind = VERSIONS.get(payload[:4].hex())
    if kind is None or len(payload) != PAYLOAD_BYTES:
        raise ValueError(expected)
    key = ExtendedKey(
        kind=kind,
        depth=payload[4],
        child=int.from_bytes(payload[9:13]),
        chain_code=payload[13:45],
        public_key=payload[45:],
    )
    if not is_point(key.public_key):
        raise ValueError(f"is no valid {kind}: it holds no point of the curve. Copy the key from the wallet again")
    return key


def require_account(key: ExtendedKey, path: str) -> None:
    """Raise ValueError unless the key is of depth 3, by a hardened step. `path` is an example for the error."""
    if key.depth != ACCOUNT_DEPTH:
        raise ValueError(f"is a key of depth {key.depth}. Set the account's key, of depth 3, at the path {path}")
    if key.child < HARDENED:
        raise ValueError(f"is no account's key: the last step of its path is not hardened. Set the key at {path}")


def base58_payload(text: str, expected: str) -> bytes:
    """Return the bytes of a base58 text without the checksum. Raises ValueError, with `expected` for other texts."""
    if not text or len(text) > KEY_CHARS_MAX or not set(text) <= set(ALPHABET):
        raise ValueError(expected)
    number = 0
    for character in text:
        number = number * len(ALPHABET) + ALPHABET.index(character)
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
    payload, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:CHECKSUM_BYTES] != checksum:
        raise ValueError(TYPING_ERROR if text[1:4] == "pub" else expected)
    return payload


def is_point(compressed: bytes) -> bool:
    """Return True if the 33 bytes are a point of secp256k1: y² = x³ + 7 has a solution for this x."""
    x = int.from_bytes(compressed[1:])
    if compressed[0] not in POINT_PREFIXES or x >= FIELD_PRIME:
        return False
    return pow(x**3 + 7, (FIELD_PRIME - 1) // 2, FIELD_PRIME) == 1
