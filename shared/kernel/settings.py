"""Settings: parsed once from the environment into a frozen object; all invalid settings are named at start."""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from shared.kernel.money import Micro, parse_credits

T = TypeVar("T")

SEED_BYTES = 32
SLASHES_OF_A_BARE_HOST = 2
CLIENT_ADDRESSES = ("direct", "function", "load_balancer", "hosting", "proxy")
LAPTOP_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")
UNKNOWN_UPSTREAM = "auto"
"""Profile of an upstream without known properties."""
UPSTREAM_PROFILES = (
    UNKNOWN_UPSTREAM,
    "azure",
    "bedrock",
    "deepseek",
    "gemini",
    "google",
    "groq",
    "laptop",
    "minimax",
    "mistral",
    "moonshot",
    "nebius",
    "ollama",
    "openai",
    "openrouter",
    "together",
    "vllm",
    "xai",
)
"""Names of upstream profiles that a setting may choose."""


class SettingsError(Exception):
    """Error for missing or invalid settings. The message names all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """Ed25519 key of the ledger: the id that entries name, and the 32-byte seed."""

    kid: str
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """OpenAI-compatible provider beside the default one: the name for a model's `upstream`, address, key, profile."""

    name: str
    base_url: str
    api_key: str = field(repr=False)
    profile: str = UNKNOWN_UPSTREAM
    fields: frozenset[str] = frozenset()
    """Request fields that pass beside OpenAI's own, such as `messages.content.cache_control`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values of all settings from the environment. Amounts are µcr. Names are the environment's, in lower case."""

    project: str
    is_laptop: bool
    ledger_id: str
    ledger_signing_keys: tuple[SigningKey, ...]
    ai_platform_api_key: str = field(repr=False)
    ai_platform_base_url: str
    ai_platform_profile: str
    ai_platform_fields: frozenset[str]
    ai_upstreams: tuple[UpstreamSettings, ...]
    upstream_unknown_fields: str
    upstream_hosted_tools: str
    default_model: str
    default_image_model: str
    images_bucket: str
    credits_per_usd: int
    markup_percent: int
    welcome_bonus_amount: Micro
    welcome_bonus_requires: frozenset[str]
    welcome_bonus_uncapped_domains: frozenset[str]
    marks_secrets: tuple[str, ...] = field(repr=False)
    rate_limit_per_minute: int
    rate_limit_burst: int
    threads: int
    client_address_from: str
    hold_lifetime_seconds: int
    cors_origins: tuple[str, ...]
    app_return_urls: tuple[str, ...]
    app_check: str
    identity_tenants: tuple[str, ...]
    firebase_web_api_key: str
    stripe_secret_key: str = field(repr=False)
    stripe_publishable_key: str
    stripe_webhook_secret: str = field(repr=False)
    stripe_api_base: str
    paypal_client_id: str
    paypal_client_secret: str = field(repr=False)
    paypal_webhook_id: str
    paypal_webhook_roots: str
    paypal_api_base: str
    region: str
    public_url: str


def parse_settings(env: Mapping[str, str]) -> Settings:
    """Return the settings in `env`. Raises SettingsError with all that is wrong, but never with a secret's value."""
    problems: list[str] = []

    def read(name: str, default: str | None, parse: Callable[[str], T]) -> T:
        text = env.get(name) or default
        try:
            if text is None:
                problems.append(f"{name} is not set")
                return parse("")
            return parse(text)
        except ValueError as error:
            if text is not None:
                problems.append(f"{name} {error}")
            return None  # type: ignore[return-value]  # never seen: problems raise below

    is_laptop = bool(env.get("FUNCTIONS_EMULATOR") or env.get("FIRESTORE_EMULATOR_HOST"))
    project = env.get("GCLOUD_PROJECT") or env.get("GOOGLE_CLOUD_PROJECT") or ""
    if not project:
        problems.append("GCLOUD_PROJECT is not set")
    settings = Settings(
        project=project,
        is_laptop=is_laptop,
        ledger_id=env.get("LEDGER_ID") or project,
        ledger_signing_keys=read("LEDGER_SIGNING_KEY", None, parse_signing_keys),
        ai_platform_api_key=env.get("AI_PLATFORM_API_KEY") or "",
        ai_platform_base_url=read("AI_PLATFORM_BASE_URL", "https://api.openai.com/v1", _base_url),
        ai_platform_profile=read("AI_PLATFORM_PROFILE", UNKNOWN_UPSTREAM, _profile),
        ai_platform_fields=read("AI_PLATFORM_FIELDS", " ", _field_names),
        ai_upstreams=read("AI_UPSTREAMS", " ", lambda text: parse_upstreams(text, env)),
        upstream_hosted_tools=read("UPSTREAM_HOSTED_TOOLS", "drop", _one_of("refuse", "drop")),
        upstream_unknown_fields=read("UPSTREAM_UNKNOWN_FIELDS", "refuse", _one_of("refuse", "drop")),
        default_model=env.get("DEFAULT_MODEL") or "gpt-4o-mini",
        default_image_model=env.get("DEFAULT_IMAGE_MODEL") or "gpt-image-1",
        images_bucket=env.get("IMAGES_BUCKET") or f"{project}-images",
        credits_per_usd=read("CREDITS_PER_USD", "100", _between(1, 1_000_000)),
        markup_percent=read("MARKUP_PERCENT", "0", _between(0, 10_000)),
        welcome_bonus_amount=read("WELCOME_BONUS_AMOUNT", "1000", _credits),
        welcome_bonus_requires=read(
            "WELCOME_BONUS_REQUIRES", "any" if is_laptop else "verified", _conditions_of_the_bonus
        ),
        welcome_bonus_uncapped_domains=read(
            "WELCOME_BONUS_UNCAPPED_DOMAINS", "example.com" if is_laptop else " ", _domains
        ),
        marks_secrets=read("MARKS_SECRET", " ", _marks_secrets(0 if is_laptop else MARKS_SECRET_CHARS_MIN)),
        rate_limit_per_minute=read("RATE_LIMIT_PER_MINUTE", "600", _between(1, 60_000)),
        rate_limit_burst=read("RATE_LIMIT_BURST", "300", _between(1, 60_000)),
        threads=read("THREADS", "80", _between(1, 1_000)),
        client_address_from=read("CLIENT_ADDRESS_FROM", "function", _one_of(*CLIENT_ADDRESSES)),
        hold_lifetime_seconds=read("HOLD_LIFETIME_SECONDS", "900", _between(1, 86_400)),
        cors_origins=read("CORS_ORIGINS", ",".join(LAPTOP_ORIGINS) if is_laptop else " ", _origins),
        app_return_urls=read("APP_RETURN_URLS", " ", _return_urls),
        app_check=read("APP_CHECK", "off", _one_of("off", "monitor", "enforce")),
        identity_tenants=read("IDENTITY_TENANTS", " ", _tenants),
        firebase_web_api_key=env.get("FIREBASE_WEB_API_KEY") or ("laptop" if is_laptop else ""),
        stripe_secret_key=env.get("STRIPE_SECRET_KEY") or "",
        stripe_publishable_key=read("STRIPE_PUBLISHABLE_KEY", " ", _publishable_key),
        stripe_webhook_secret=env.get("STRIPE_WEBHOOK_SECRET") or "",
        stripe_api_base=read("STRIPE_API_BASE", "https://api.stripe.com", _address),
        paypal_client_id=env.get("PAYPAL_CLIENT_ID") or "",
        paypal_client_secret=env.get("PAYPAL_CLIENT_SECRET") or "",
        paypal_webhook_id=env.get("PAYPAL_WEBHOOK_ID") or "",
        paypal_webhook_roots=env.get("PAYPAL_WEBHOOK_ROOTS") or "",
        paypal_api_base=read("PAYPAL_API_BASE", "https://api-m.paypal.com", _address),
        region=(region := env.get("FUNCTION_REGION") or "us-central1"),
        public_url=read("PUBLIC_URL", f"https://{region}-{project}.cloudfunctions.net/api", _address),
    )
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def parse_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Parse `kid:base64seed[,kid:base64seed…]`: the first key signs, the rest verify.

    Raises ValueError, without the secret in the message.
    """
    keys = tuple(_signing_key(part) for part in text.split(","))
    if len({key.kid for key in keys}) != len(keys):
        raise ValueError("names the same key id twice")
    return keys


def _signing_key(part: str) -> SigningKey:
    kid, _, encoded = part.strip().partition(":")
    try:
        seed = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        seed = b""
    if not kid.isascii() or not kid.replace("-", "").replace("_", "").isalnum() or len(seed) != SEED_BYTES:
        raise ValueError("must be kid:base64 of a 32-byte Ed25519 seed, comma-separated")
    return SigningKey(kid=kid, seed=seed)


UPSTREAM_NAME = re.compile(r"(?=.{1,32}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
UPSTREAM_SETTING = re.compile(r"AI_UPSTREAM_.+_(API_KEY|PROFILE|FIELDS)")


def parse_upstreams(text: str, env: Mapping[str, str]) -> tuple[UpstreamSettings, ...]:
    """Parse `name=url[,name=url…]`; `AI_UPSTREAM_<NAME>_API_KEY`, `_PROFILE` and `_FIELDS` belong to each name.

    Raises ValueError for a name that is used twice or reserved, and for an unknown profile. Raises ValueError also for
    a key, profile or fields of an unlisted name, which may be a typing error.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    names = [name for name, _, _ in pairs]
    if not all(UPSTREAM_NAME.fullmatch(name) for name in names) or "default" in names:
        raise ValueError(
            "must be name=url, comma-separated; a name is lower-case letters, digits and hyphens, not default"
        )
    if len(set(names)) != len(names):
        raise ValueError("names the same upstream twice")
    prefixes = {name: f"AI_UPSTREAM_{name.upper().replace('-', '_')}" for name in names}
    known = {f"{prefix}_{last}" for prefix in prefixes.values() for last in ("API_KEY", "PROFILE", "FIELDS")}
    if strays := sorted(name for name in env if UPSTREAM_SETTING.fullmatch(name) and name not in known):
        raise ValueError(f"has no upstream for {strays[0]}")
    return tuple(
        UpstreamSettings(
            name=name,
            base_url=_base_url(url),
            api_key=env.get(f"{prefixes[name]}_API_KEY") or "",
            profile=_profile(env.get(f"{prefixes[name]}_PROFILE") or UNKNOWN_UPSTREAM),
            fields=_field_names(env.get(f"{prefixes[name]}_FIELDS") or ""),
        )
        for name, _, url in pairs
    )


def _profile(text: str) -> str:
    if text not in UPSTREAM_PROFILES:
        raise ValueError(f"names no known profile; known are {', '.join(UPSTREAM_PROFILES)}")
    return text


FIELD_NAME = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*", re.ASCII)


def _field_names(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not all(FIELD_NAME.fullmatch(name) for name in names):
        raise ValueError("must be names of request fields such as thinking or messages.speed, comma-separated")
    return names


def _base_url(text: str) -> str:
    address = _address(text)
    return address if address.count("/") > SLASHES_OF_A_BARE_HOST else f"{address}/v1"


def _address(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("must be an http(s) URL")
    return text.rstrip("/")


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


BONUS_CONDITIONS = ("verified", "app_check", "card")
"""Possible conditions of the welcome bonus: a verified address or phone, an App Check token, a settled payment."""


def _conditions_of_the_bonus(text: str) -> frozenset[str]:
    conditions = frozenset(part.strip() for part in text.split(",") if part.strip())
    if conditions == {"any"}:
        return frozenset()
    if not conditions or not conditions <= set(BONUS_CONDITIONS):
        raise ValueError(f"must be any, or some of {', '.join(BONUS_CONDITIONS)}, comma-separated")
    return conditions


MAIL_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)


def _domains(text: str) -> frozenset[str]:
    domains = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(MAIL_DOMAIN.fullmatch(domain) for domain in domains):
        raise ValueError("must be domains such as example.com, comma-separated")
    return domains


MARKS_SECRET_CHARS_MIN = 16


def _marks_secrets(chars_min: int) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        secrets = tuple(part.strip() for part in text.split(",") if part.strip())
        if any(len(secret) < chars_min for secret in secrets) or len(set(secrets)) != len(secrets):
            raise ValueError(f"must be different secrets of at least {chars_min} characters, comma-separated")
        return secrets

    return parse


def _credits(text: str) -> Micro:
    try:
        return parse_credits(text)
    except Exception as error:
        raise ValueError("must be an amount of credits such as 1000 or 12.5") from error


TENANT = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def _tenants(text: str) -> tuple[str, ...]:
    tenants = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(TENANT.fullmatch(tenant) for tenant in tenants):
        raise ValueError("must be ids of Identity Platform tenants such as acme-x1y2z, comma-separated")
    return tenants


APP_URL = re.compile(r"[a-z][a-z0-9+.-]*://[\x21-\x7e]+")
SCHEMES_OF_NO_APP = frozenset({"http", "javascript", "data", "file", "blob", "about", "vbscript", "ftp", "ws", "wss"})


def _return_urls(text: str) -> tuple[str, ...]:
    """Parse addresses of apps: a custom scheme (`myapp://paid`), or an app link (`https://app.example.com/paid`)."""
    urls = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for url in urls:
        scheme, _, rest = url.partition("://")
        if not APP_URL.fullmatch(url) or scheme in SCHEMES_OF_NO_APP or "@" in rest.partition("/")[0]:
            raise ValueError("must be addresses such as myapp://paid or https://app.example.com/paid, comma-separated")
    return urls


def _publishable_key(text: str) -> str:
    if text.strip() and not text.strip().startswith("pk_"):
        raise ValueError("must be a publishable key (pk_…): every client reads it")
    return text.strip()


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if any(not origin.startswith(("http://", "https://")) for origin in origins):
        raise ValueError("must be origins such as https://app.example.com, comma-separated")
    return origins
