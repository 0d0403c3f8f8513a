"""Pseudonyms of users for model providers: providers can tell users apart, but not identify them."""

import hashlib
import hmac

from shared.kernel.derived_keys import derived_key
from shared.kernel.ids import Uid

INFO = b"integrated-credit-system/end-users/v1"
PREFIX = "user_"
DIGITS = 40
"""Number of hex digits of a pseudonym.

With the prefix, a pseudonym stays below the 64 characters that providers accept.
"""


class EndUsers:
    """Pseudonyms under a secret of the project: the same for a user on every route and instance.

    A new secret makes new pseudonyms.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = derived_key(secret, INFO)

    def of(self, uid: Uid) -> str:
        """Return the pseudonym of this user.

        Without the key nobody can derive the uid from the pseudonym, or the reverse.
        """
        return PREFIX + hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()[:DIGITS]
