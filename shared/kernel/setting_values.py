"""Parsers of single settings. Each returns the value of a text, or raises ValueError that says how the text must be."""

import re
from collections.abc import Callable

from shared.kernel.account_keys import AccountKey
from shared.kernel.money import Micro, parse_credits

SLASHES_OF_A_BARE_HOST = 2
NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
FIELD_NAME = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*", re.ASCII)


def field_names(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not all(FIELD_NAME.fullmatch(name) for name in names):
        raise ValueError("must be names of request fields such as thinking or messages.speed, comma-separated")
    return names


def names(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(NAME.fullmatch(name) for name in found):
        raise ValueError("must be names in lower-case letters, comma-separated")
    return found


def base_url(text: str) -> str:
    url = address(text)
    return url if url.count("/") > SLASHES_OF_A_BARE_HOST else f"{url}/v1"


def address(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("must be an http(s) URL")
    return text.rstrip("/")


def optional_address(text: str) -> str:
    return address(text) if text.strip() else ""


def between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


BONUS_CONDITIONS = ("verified", "app_check", "card")
"""Possible conditions of the welcome bonus: a verified address or phone, an App Check token, a settled payment."""


def bonus_conditions(text: str) -> frozenset[str]:
    conditions = frozenset(part.strip() for part in text.split(",") if part.strip())
    if conditions == {"any"}:
        return frozenset()
    if not conditions or not conditions <= set(BONUS_CONDITIONS):
        raise ValueError(f"must be any, or some of {', '.join(BONUS_CONDITIONS)}, comma-separated")
    return conditions


MAIL_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)


def domains(text: str) -> frozenset[str]:
    found = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(MAIL_DOMAIN.fullmatch(domain) for domain in found):
        raise ValueError("must be domains such as example.com, comma-separated")
    return found


MARKS_SECRET_CHARS_MIN = 16


def marks_secrets(*, is_laptop: bool) -> Callable[[str], tuple[str, ...]]:
    chars_min = 0 if is_laptop else MARKS_SECRET_CHARS_MIN

    def parse(text: str) -> tuple[str, ...]:
        secrets = tuple(part.strip() for part in text.split(",") if part.strip())
        if any(len(secret) < chars_min for secret in secrets) or len(set(secrets)) != len(secrets):
            raise ValueError(f"must be different secrets of at least {chars_min} characters, comma-separated")
        return secrets

    return parse


def credits_of(text: str) -> Micro:
    try:
        return parse_credits(text)
    except Exception as error:
        raise ValueError("must be an amount of credits such as 1000 or 12.5") from error


TENANT = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def tenants(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(TENANT.fullmatch(tenant) for tenant in found):
        raise ValueError("must be ids of Identity Platform tenants such as acme-x1y2z, comma-separated")
    return found


APP_URL = re.compile(r"[a-z][a-z0-9+.-]*://[\x21-\x7e]+")
SCHEMES_OF_NO_APP = frozenset({"http", "javascript", "data", "file", "blob", "about", "vbscript", "ftp", "ws", "wss"})


def return_urls(text: str) -> tuple[str, ...]:
    """Return the addresses of apps in a comma-separated text: `myapp://paid`, or an app link
    `https://app.example.com/paid`.

    Raises ValueError for any other text.
    """
    urls = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for url in urls:
        scheme, _, rest = url.partition("://")
        if not APP_URL.fullmatch(url) or scheme in SCHEMES_OF_NO_APP or "@" in rest.partition("/")[0]:
            raise ValueError("must be addresses such as myapp://paid or https://app.example.com/paid, comma-separated")
    return urls


def publishable_key(text: str) -> str:
    if text.strip() and not text.strip().startswith("pk_"):
        raise ValueError("must be a publishable key (pk_…): every client reads it")
    return text.strip()


def origins(text: str) -> tuple[str, ...]:
    found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if any(not origin.startswith(("http://", "https://")) for origin in found):
        raise ValueError("must be origins such as https://app.example.com, comma-separated")
    return found


def evm_keys(text: str) -> tuple[AccountKey, ...]:
    if not text.strip():
        return ()
    from shared.kernel.public_keys import parse_evm_keys

    return parse_evm_keys(text)


def bitcoin_keys(text: str) -> tuple[AccountKey, ...]:
    if not text.strip():
        return ()
    from shared.kernel.public_keys import parse_bitcoin_keys

    return parse_bitcoin_keys(text)


SPOT_PRICES = ("coinbase", "kraken")
"""Exchanges whose prices can be asked for."""


def spot_prices(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if found == ("none",):
        return ()
    if not set(found) <= set(SPOT_PRICES) or len(set(found)) != len(found):
        raise ValueError(f"must be none, or some of {', '.join(SPOT_PRICES)}, comma-separated")
    return found


METRICS_TOKEN_CHARACTERS_MIN = 32


def metrics_token(*, is_needed: bool) -> Callable[[str], str]:
    """Return the parser of the token of scrapers, which raises ValueError for a short one, and for a missing one."""

    def parse(text: str) -> str:
        token = text.strip()
        if (token or is_needed) and (len(token) < METRICS_TOKEN_CHARACTERS_MIN or not token.isascii()):
            raise ValueError(f"must have at least {METRICS_TOKEN_CHARACTERS_MIN} ASCII characters")
        return token

    return parse
