"""Parsers of the settings of the transparency log: name, key, bucket and witnesses."""

import binascii
import re
from collections.abc import Callable

SEED_BYTES = 32
WITNESSES_MAX = 16
ORIGIN = re.compile(r"[^\s+\x00-\x1f]{1,255}")
VKEY = re.compile(r"[^\s+,\x00-\x1f]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}", re.ASCII)
KEY_VERSION = re.compile(
    r"projects/[\w.:-]+/locations/[\w-]+/keyRings/[\w-]+/cryptoKeys/[\w-]+/cryptoKeyVersions/[1-9]\d*", re.ASCII
)
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.ASCII)


def origin(text: str) -> str:
    if not ORIGIN.fullmatch(text):
        raise ValueError("must be a name without spaces and plus signs, such as ledger.example.com")
    return text


def seed(text: str) -> bytes | None:
    """Parse the key of the log. A blank text has none. Raises ValueError, without the secret in the message."""
    if not text.strip():
        return None
    try:
        raw = binascii.a2b_base64(text.strip(), strict_mode=True)
    except ValueError:
        raw = b""
    if len(raw) != SEED_BYTES:
        raise ValueError("must be the base64 of a 32-byte Ed25519 seed")
    return raw


def key_version(text: str) -> str:
    if text.strip() and not KEY_VERSION.fullmatch(text):
        raise ValueError("must be projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/1")
    return text.strip()


def vkeys(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(VKEY.fullmatch(vkey) for vkey in found):
        raise ValueError("must be verifier keys, name+hash+base64, comma-separated")
    return found


def one_vkey(*, is_needed: bool) -> Callable[[str], str]:
    """Return the parser of one verifier key, which a key in Cloud KMS needs."""

    def parse(text: str) -> str:
        found = vkeys(text)
        if len(found) > 1 or (is_needed and not found):
            raise ValueError("must be the verifier key of LEDGER_LOG_KMS_KEY, as make log-key prints it")
        return found[0] if found else ""

    return parse


def bucket(text: str) -> str:
    if text.strip() and not BUCKET.fullmatch(text):
        raise ValueError("must be the name of a bucket")
    return text.strip()


def witnesses(text: str) -> tuple[tuple[str, str], ...]:
    """Parse `vkey url`, comma-separated: pairs of a witness's key and its address. Raises ValueError."""
    from shared.kernel.setting_values import address

    pairs = [part.split() for part in text.split(",") if part.strip()]
    if any(len(pair) != 2 for pair in pairs) or len(pairs) > WITNESSES_MAX:  # noqa: PLR2004
        raise ValueError(f"must be at most {WITNESSES_MAX} pairs of a verifier key and an address, comma-separated")
    if len({vkey for vkey, _ in pairs}) != len(pairs):
        raise ValueError("names the same witness twice")
    return tuple((*vkeys(vkey), address(url)) for vkey, url in pairs)  # type: ignore[misc]  # one key each
