"""Mailboxes: many spellings, one person; and keyed marks that name a mailbox without revealing it."""

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence

from shared.kernel.settings import SigningKey

MARK_INFO = b"integrated-credit-system/bonus-claims/v1"
DOTLESS = frozenset({"gmail.com"})
"""Providers that ignore dots in the local part."""
SAME_AS = {"googlemail.com": "gmail.com"}


def normalised(email: str) -> str:
    """The mailbox that an address delivers to, in one spelling: `A.b+c@GoogleMail.com` → `ab@gmail.com`.

    NFKC and case folding (Unicode's NFKC_Casefold: what is invisible goes), no `+tag`, no dots where the provider
    ignores them, provider aliases, internationalised domains in their ASCII form.
    """
    local, _, domain = _folded(email).rpartition("@")
    domain = _ascii_domain(domain.rstrip("."))
    domain = SAME_AS.get(domain, domain)
    untagged = local.partition("+")[0] or local
    mailbox = untagged.replace(".", "") if domain in DOTLESS else untagged
    return f"{mailbox or untagged}@{domain}"


def marks(keys: Sequence[SigningKey], name: str) -> list[str]:
    """One keyed hash of `name` per signing key, 64 hex digits each: whoever lacks the keys cannot tell whose it is."""
    return [hmac.new(derived_key(key.seed), name.encode(), hashlib.sha256).hexdigest() for key in keys]


def derived_key(seed: bytes, info: bytes = MARK_INFO, salt: bytes = b"") -> bytes:
    """32 bytes for one purpose, from a key that has another (HKDF-SHA-256, RFC 5869; one block)."""
    extracted = hmac.new(salt or bytes(32), seed, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def _folded(text: str) -> str:
    """NFKC_Casefold (Unicode 3.13, D147): folding can undo normalisation, so it is done until nothing changes."""
    visible = "".join(char for char in text.strip() if unicodedata.category(char) not in {"Cf", "Cc"})
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return folded if folded == text else _folded(folded)


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain
