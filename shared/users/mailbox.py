"""Mailboxes: one canonical spelling for each, and keyed marks that identify a mailbox without revealing the address."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence

from shared.kernel.derived_keys import derived_key
from shared.users.mail_providers import OTHERS, provider_at, subdomain_user

MARK_INFO = b"integrated-credit-system/bonus-claims/v1"
KEY_ITSELF = re.compile(r"hex:([0-9a-f]{64})", re.ASCII)
ACE = "xn--"
FULL_STOPS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
"""Full stops of IDNA 2003 (RFC 3490, 3.1)."""
DOTLESS_V1 = frozenset({"gmail.com"})
SAME_AS_V1 = {"googlemail.com": "gmail.com"}


def normalised(email: str) -> str:
    """Return the canonical spelling of an address's mailbox. `A.b+c@GoogleMail.com` gives `ab@gmail.com`.

    The address is folded by NFKC and case (Unicode's NFKC_Casefold, which drops invisible characters). The domain is
    written in ASCII. Then the provider's rules for tags, dots and other domains apply.
    """
    local, domain = _parts(email)
    return (provider_at(domain) or OTHERS).mailbox(local, domain)


def spellings(email: str) -> list[str]:
    """Return the mailbox's spelling, then all spellings under which an earlier version may have stored the mailbox."""
    local, domain = _parts(email)
    provider = provider_at(domain)
    family = provider.domains if provider is not None and provider.is_one_mailbox else (domain,)
    name = (provider or OTHERS).mailbox(local, domain).rpartition("@")[0]
    untagged = OTHERS.mailbox(local, domain).rpartition("@")[0]
    earlier = [f"{each}@{at}" for each in (untagged, name) for at in family]
    return list(dict.fromkeys([normalised(email), normalised_v1(email), *earlier]))


def domain_of(email: str) -> str:
    """Return the domain of the mailbox, in lower-case ASCII."""
    return normalised(email).rpartition("@")[2]


def marks(keys: Sequence[bytes], name: str) -> list[str]:
    """Return one keyed hash of `name` per mark key, 64 hex digits each. Without a key nobody can tell the name."""
    return [hmac.new(key, name.encode(), hashlib.sha256).hexdigest() for key in keys]


def mark_keys(secrets: Sequence[str], seeds: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the keys for marks: one of each secret, then the key that each signing seed gave in earlier versions.

    A secret of the form `hex:` and 64 digits is a key itself, such as the key of a seed that is gone.
    """
    keys = [*map(_key_of, secrets), *map(mark_key_of, seeds)]
    return tuple(dict.fromkeys(keys))


def mark_key_of(seed: bytes) -> bytes:
    """Return the key for marks that a signing seed, or the text of a secret, gives."""
    return derived_key(seed, MARK_INFO)


def _key_of(secret: str) -> bytes:
    found = KEY_ITSELF.fullmatch(secret)
    return bytes.fromhex(found[1]) if found else mark_key_of(secret.encode())


def normalised_v1(email: str) -> str:
    """Return the spelling used for marks before providers' rules were known. Only Gmail's dots were known then."""
    local, _, domain = _folded(email).rpartition("@")
    domain = _ascii_domain_v1(domain.rstrip("."))
    domain = SAME_AS_V1.get(domain, domain)
    untagged = local.partition("+")[0] or local
    mailbox = untagged.replace(".", "") if domain in DOTLESS_V1 else untagged
    return f"{mailbox or untagged}@{domain}"


def _parts(email: str) -> tuple[str, str]:
    """Return the folded local part and the domain in ASCII. A provider's subdomain is read as the user's name."""
    local, _, written = _folded(email).rpartition("@")
    domain = _ascii_domain(written)
    return subdomain_user(domain) or (local, domain)


def _folded(text: str) -> str:
    """Return the text in NFKC_Casefold (Unicode 3.13, D147).

    Folding can undo normalisation, so both are repeated until nothing changes.
    """
    visible = "".join(char for char in text.strip() if unicodedata.category(char) not in {"Cf", "Cc"})
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return folded if folded == text else _folded(folded)


def _ascii_domain(domain: str) -> str:
    """Return the ASCII spelling of a domain on which IDNA 2003 and 2008 agree: `ß` and `ss` are the same."""
    labels = domain.translate(FULL_STOPS).rstrip(".").split(".")
    return ".".join(map(_ascii_label, labels))


def _ascii_label(label: str) -> str:
    """Return the label decoded and then folded, so that an `xn--` form equals the form in letters."""
    letters = _folded(_decoded(label))
    return letters if letters.isascii() else ACE + letters.encode("punycode").decode()


def _decoded(label: str) -> str:
    if not label.startswith(ACE):
        return label
    try:
        return label.removeprefix(ACE).encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _ascii_domain_v1(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain
