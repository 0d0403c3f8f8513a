"""Marks of records: HMACs for messages that only the ledger must check, under keys that are no signing keys."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.kernel.derived_keys import derived_key
from shared.ledger.errors import UnknownKey
from shared.ledger.keys import MARK_CONTEXT, to_base64

if TYPE_CHECKING:
    from shared.kernel.settings import SigningKey

RECORD_INFO = b"integrated-credit-system/records/v1"
MADE_PREFIX = "made."
"""Beginning of the id of a mark key that was made from a secret. No id of a signing key has a full stop."""
ID_DIGITS = 12


class MarkRing:
    """Keys for marks: the first of MARKS_SECRET marks, all secrets check. Marks of earlier releases are checked too.

    Earlier releases made marks with keys that follow from the signing seeds. Without a secret, the first seed still
    makes them.
    """

    def __init__(self, secrets: Sequence[str], seeds: "Sequence[SigningKey]" = ()) -> None:
        made = [derived_key(secret.encode(), RECORD_INFO) for secret in secrets]
        self._keys = {
            **{_id_of(key): key for key in made},
            **{seed.kid: hashlib.sha256(MARK_CONTEXT + seed.seed).digest() for seed in seeds},
        }
        self._first = next(iter(self._keys))

    @property
    def needs_no_seed(self) -> bool:
        """True if a secret makes the marks, so that new marks outlive every signing seed."""
        return self._first.startswith(MADE_PREFIX)

    def mark(self, message: bytes) -> str:
        """Return `id:tag`, where the tag is an HMAC-SHA256 (RFC 2104). For messages that only the ledger must check.

        Without the key, a mark is as hard to forge as a signature. A mark takes a twentieth of a signature's time.
        """
        return f"{self._first}:{_tag(self._keys[self._first], message)}"

    def is_marked(self, message: bytes, mark: str) -> bool:
        """Return True if a key of this ring made this mark for `message`.

        Raises UnknownKey if the ring lacks the named key.
        """
        name, colon, tag = mark.partition(":")
        if not colon:
            return False
        if name not in self._keys:
            raise UnknownKey(name)
        return hmac.compare_digest(_tag(self._keys[name], message).encode(), tag.encode("utf-8", "replace"))

    def is_of_today(self, mark: str) -> bool:
        """Return True if the mark names the key that makes new marks. The mark may still be forged."""
        return mark.partition(":")[0] == self._first


def _tag(key: bytes, message: bytes) -> str:
    return to_base64(hmac.digest(key, message, "sha256"))


def _id_of(key: bytes) -> str:
    return MADE_PREFIX + hashlib.sha256(key).hexdigest()[:ID_DIGITS]
