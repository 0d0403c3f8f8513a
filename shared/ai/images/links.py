"""Short-lived links that show one image to every holder: for `<img>`, which cannot send a token.

A link is the image's id, the second of the link's end, and a keyed hash of both (HMAC-SHA-256, the first 128 bits). A
link names no user and opens nothing else. Links made within the same few minutes are the same, so that a browser can
cache.
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
"""Number of steps to the end of a link: a link lives from ten to fifteen minutes."""
MARK_DIGITS = 32
DIGITS_MAX = 12


class LinkInvalid(NotFound):
    """Refusal: the link was not made here, or the link's time is over."""

    code = "link_invalid"

    def __init__(self) -> None:
        super().__init__("This link is not valid, or not any more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Signed link to an image. `text` stands in the address."""

    text: str
    image_id: str
    expires_at: Millis


class ImageLinks:
    """Maker and checker of links: the first key signs, all keys verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def to(self, image_id: str, now: Millis) -> Link:
        """Return a link to this image."""
        seconds = (now // SECOND // STEP_SECONDS + STEPS) * STEP_SECONDS
        said = f"{image_id}.{seconds}"
        return Link(text=f"{said}.{_mark(self._keys[0], said)}", image_id=image_id, expires_at=seconds * SECOND)

    def read(self, text: str, now: Millis) -> Link:
        """Return the link that `text` encodes. Raises LinkInvalid."""
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
