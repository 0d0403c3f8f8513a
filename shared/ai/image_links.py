"""Links that show one image to whoever has them, for a short time: for `<img>`, which cannot send a token.

A link is the image's id, the second it ends, and a keyed hash of both (HMAC-SHA-256, its first 128 bits). It names no
user, and it opens nothing else. Links made within the same few minutes are the same, so that a browser can cache.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from shared.kernel.clock import SECOND, Millis
from shared.kernel.errors import NotFound

KEY_INFO = b"integrated-credit-system/image-links/v1"
STEP_SECONDS = 300
STEPS = 3
"""A link lives from ten to fifteen minutes."""
MARK_DIGITS = 32
DIGITS_MAX = 12


class LinkInvalid(NotFound):
    """This link was not made here, or its time is up."""

    code = "link_invalid"

    def __init__(self) -> None:
        super().__init__("This link is not valid, or not any more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link, as it stands in an address, and when it ends."""

    text: str
    image_id: str
    expires_at: Millis


class Links:
    """Makes links and checks them: the first key signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def to(self, image_id: str, now: Millis) -> Link:
        """A link to this image."""
        seconds = (now // SECOND // STEP_SECONDS + STEPS) * STEP_SECONDS
        said = f"{image_id}.{seconds}"
        return Link(text=f"{said}.{_mark(self._keys[0], said)}", image_id=image_id, expires_at=seconds * SECOND)

    def read(self, text: str, now: Millis) -> Link:
        """The link that this is. Raises LinkInvalid."""
        said, _, mark = text.rpartition(".")
        image_id, _, digits = said.rpartition(".")
        is_ours = any(hmac.compare_digest(_mark(key, said).encode(), mark.encode()) for key in self._keys)
        if not is_ours or not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
            raise LinkInvalid
        if int(digits) * SECOND <= now:
            raise LinkInvalid
        return Link(text=text, image_id=image_id, expires_at=int(digits) * SECOND)


def _mark(key: bytes, said: str) -> str:
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()[:MARK_DIGITS]
