"""Settings: parsed once from the environment into a frozen object; all invalid settings are named at start."""

import binascii
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from shared.kernel import log_settings
from shared.kernel import setting_values as values
from shared.kernel.account_keys import AccountKey
from shared.kernel.chain_settings import ChainSources, parse_chain_sources
from shared.kernel.money import Micro
from shared.kernel.network_settings import NetworkSettings, parse_networks

T = TypeVar("T")

SEED_BYTES = 32
SIGNING_KEY = "LEDGER_SIGNING_KEY"
LOG_KEY = "LEDGER_LOG_KEY"
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
    """Name of the ledger, part of every entry. Default: the project's id."""
    ledger_signing_keys: tuple[SigningKey, ...] = field(repr=False)
    """`kid:base64 of a 32-byte Ed25519 seed`, comma-separated. The first key that is in force signs. A retired
    key needs no seed. Empty in a function that writes no entries."""
    ledger_log_origin: str
    """Name of the transparency log in checkpoints, which policies of auditors name. Never change the name of a log
    that has signed. Default: LEDGER_ID."""
    ledger_log_key: bytes | None = field(repr=False)
    """Base64 of the 32-byte Ed25519 seed that signs checkpoints of the log. Needed by `every_minute` alone."""
    ledger_log_kms_key: str
    """Version of a Cloud KMS key (EC_SIGN_ED25519) that signs checkpoints in place of LEDGER_LOG_KEY:
    `projects/…/cryptoKeyVersions/1`. The account of `every_minute` needs the role Cloud KMS CryptoKey Signer on the
    key. LEDGER_LOG_VKEY names the public half."""
    ledger_log_vkey: str
    """Verifier key (`name+hash+base64`) of the Cloud KMS key. `make log-key` prints the text."""
    ledger_log_former_keys: tuple[str, ...]
    """Verifier keys that signed checkpoints of this log before, comma-separated."""
    ledger_anchor_bucket: str
    """Cloud Storage bucket with a locked retention policy, in which each checkpoint and each tile of the log is
    anchored. Without a bucket, a restored database is found by witnesses and auditors alone (decision 0090)."""
    ledger_witnesses: tuple[tuple[str, str], ...]
    """Witnesses that cosign checkpoints (C2SP tlog-witness): `vkey url`, comma-separated. The address is the prefix
    for submissions. A silent witness holds nothing up."""
    ai_platform_api_key: str = field(repr=False)
    """API key of the default model provider."""
    ai_platform_base_url: str
    """Address of the default model provider, which must be OpenAI-compatible. `/v1` is appended to an address
    without a path."""
    ai_platform_profile: str
    """Kind of the default provider. `openai` and `azure` stop billing when a call is aborted. Calls to
    `gemini` (or `google`), `mistral`, `groq`, `bedrock`, `nebius`, `minimax`, `deepseek`, `xai`, `openrouter`,
    `together`, `moonshot`, `vllm`, `ollama`, `laptop` and `auto` are read to their end. A profile also says which
    field limits an answer, whether `stream_options` is known, how hidden reasoning is reported, and which field
    carries the end user's pseudonym. `auto` goes by the address, reads every form, and repeats a refused request
    once without our own fields (decision 0032)."""
    ai_platform_fields: frozenset[str]
    """Request fields under `/v1/openai` that the default provider takes beside OpenAI's own, comma-separated:
    `thinking`, `messages.content.cache_control`. Name a field only if the model's prices cover the field's effect."""
    ai_upstreams: tuple[UpstreamSettings, ...]
    """More OpenAI-compatible providers: `name=url`, comma-separated. A model's `upstream` names the provider that
    serves the model. `AI_UPSTREAM_<NAME>_API_KEY` (a secret; a hyphen in the name is written `_`),
    `AI_UPSTREAM_<NAME>_PROFILE` and `AI_UPSTREAM_<NAME>_FIELDS` belong to each name and mean the same as for the
    default provider."""
    ai_keyless: tuple[str, ...]
    """Model providers whose key need not exist, comma-separated: `default` or names of `AI_UPSTREAMS`. They are served
    without a key, or are not used."""
    upstream_unknown_fields: str
    """Treatment of unknown request fields under `/v1/openai`. `refuse` answers 400 and names the fields. `drop`
    removes the fields and names them in the header `X-Dropped-Fields`."""
    upstream_hosted_tools: str
    """Treatment of tools under `/v1/openai/responses` that the provider would run. `drop` removes the tools and
    names them in the header `X-Dropped-Fields`, unless the model must use one. `refuse` answers 400."""
    default_model: str
    """Chat model if neither the request nor the user's preferences name a model."""
    default_image_model: str
    """Image model if neither the request nor the user's preferences name a model."""
    images_bucket: str
    """Cloud Storage bucket of users' files: private, with public access prevention."""
    credits_per_usd: int
    """Credits that one US dollar of model cost is worth."""
    markup_percent: int
    """Percentage added to the providers' prices."""
    welcome_bonus_amount: Micro
    """Credits of the welcome bonus, given once per user and mailbox."""
    welcome_bonus_requires: frozenset[str]
    """Conditions of the welcome bonus, comma-separated. `any`: none. `verified`: a verified e-mail address or phone.
    `app_check`: a valid App Check token. `card`: a settled payment."""
    welcome_bonus_uncapped_domains: frozenset[str]
    """Mail domains to which the caps of the bonus do not apply, such as your own, comma-separated (decision 0034)."""
    marks_secrets: tuple[str, ...] = field(repr=False)
    """Secrets for marks, comma-separated, each of at least 16 characters. Marked are the ledger's records, mailboxes
    with a bonus, links to images, and pseudonyms. The first secret makes marks; all secrets and the ledger's signing
    keys are used to find marks. `hex:` and 64 digits
    is a mark key itself (`python -m functions.commands mark-keys` prints the keys that follow from the signing
    keys)."""
    rate_limit_per_minute: int
    """Spending calls per user and minute in the long run, exact over all instances."""
    rate_limit_burst: int
    """Spending calls per user at once."""
    threads: int
    """Requests that one instance serves at once; `main.py` sets the number of each function. Waiting for bodies,
    for the answer of another call or for credits may take a part of the threads only."""
    client_address_from: str
    """Place of the client's address, by which failed sign-ins are counted. `direct`: the connection.
    `function`: the last entry of `X-Forwarded-For`, written by Google's front end. `load_balancer`, `proxy`: the last
    entry but one, if a load balancer or your own proxy stands between. `hosting` means the same for a rewrite of
    Firebase Hosting, which streams no answers. Webhooks are called at their functions' own addresses in any case."""
    hold_lifetime_seconds: int
    """Lifetime of a hold that is not renewed. Longer than any function runs."""
    cors_origins: tuple[str, ...]
    """Origins of web apps that may call the API, comma-separated."""
    app_return_urls: tuple[str, ...]
    """Addresses of apps that a checkout may return to: custom schemes (`myapp://paid`) or app links
    (`https://app.example.com/paid`), comma-separated."""
    app_check: str
    """`monitor` logs calls without a valid App Check token, `enforce` refuses them."""
    identity_tenants: tuple[str, ...]
    """Ids of the Identity Platform tenants whose users may sign in, comma-separated. Tokens of other tenants are
    refused. A uid is one account in all tenants. Users of a tenant that is removed from this list count as deleted."""
    metrics_access: str
    """Callers of `GET /v1/monitoring/metrics`: `operators` alone, or with `token` also scrapers that send the secret
    METRICS_TOKEN."""
    metrics_token: str = field(repr=False)
    """Token of scrapers, of at least 32 characters, if METRICS_ACCESS is `token`."""
    web_api_key: str
    """Public key of the web app, for the playground."""
    payment_providers: tuple[str, ...]
    """Payment providers in use, comma-separated: `stripe`, `paypal`, or `none`. Default: all whose keys are set; in a
    deployment all of which the key for apps is set, `STRIPE_PUBLISHABLE_KEY` or `PAYPAL_CLIENT_ID`. A provider that
    is not used needs no secret."""
    stripe_secret_key: str = field(repr=False)
    """Secret key of the Stripe account, test or live. Without this key, Stripe is not offered."""
    stripe_publishable_key: str
    """Publishable key of the Stripe account (`pk_…`), which apps read in `GET /v1/payments/options`."""
    stripe_webhook_secret: str = field(repr=False)
    """Signing secret of the webhook endpoint (`whsec_…`); two, comma-separated, while one replaces the other.
    Without a secret, the webhook accepts nothing."""
    stripe_api_base: str
    """Address of Stripe's API."""
    paypal_client_id: str
    """Client id of the PayPal app. Without this id, PayPal is not offered."""
    paypal_client_secret: str = field(repr=False)
    """Client secret of the PayPal app."""
    paypal_webhook_id: str
    """PayPal's id of our webhook, part of the signed text. Without this id, the webhook accepts nothing."""
    paypal_webhook_roots: str
    """File (PEM) of the roots that PayPal's signing certificate must lead to, and of intermediate certificates that
    PayPal does not send. Default: the public roots, and the DigiCert certificates that PayPal uses."""
    paypal_api_base: str
    """Address of PayPal's API. The sandbox is `https://api-m.sandbox.paypal.com`."""
    crypto_networks: tuple[NetworkSettings, ...]
    """Networks on which crypto payments are taken, comma-separated. Known are `base`, `polygon`, `ethereum` and
    `bitcoin`, and for tests `base-sepolia`, `sepolia`, `bitcoin-testnet4`, `bitcoin-signet` and `bitcoin-regtest`.
    Any other name is an EVM chain of your own. Live and test networks are not mixed. Settings of each network begin
    with its name in capitals. `<NETWORK>_RPC_URLS` (Bitcoin: `<NETWORK>_API_URLS`, Esplora-compatible) are its
    sources, comma-separated: one, better two of different companies; the addresses may hold keys. An EVM chain of
    your own also needs `<NETWORK>_CHAIN_ID`, `<NETWORK>_GENESIS` (hash of block 0), `<NETWORK>_COIN` (symbol) and
    `<NETWORK>_IS_LIVE` (`true` if the coins have value). `<NETWORK>_TOKENS` (`NAME:contract:decimals`, `:stable`
    behind a dollar stablecoin), `<NETWORK>_FEEDS` (Chainlink, `NAME:contract:heartbeat in seconds`),
    `<NETWORK>_SEQUENCER_FEED`, `<NETWORK>_TIERS` (`100:10,1000:safe,any:finalized`: up to 100 dollars after 10
    blocks), `<NETWORK>_MINIMUM_USD`, `<NETWORK>_BLOCK_SECONDS`, `<NETWORK>_TITLE`, `<NETWORK>_EXPLORER` and
    `<NETWORK>_WALLET_RPC` (public node that payers' wallets may be told) replace the preset's or add to them."""
    crypto_spot_prices: tuple[str, ...]
    """Exchanges whose last trade must agree with Chainlink within 1 % before a price is quoted, comma-separated:
    `coinbase`, `kraken`, or `none`. With `none`, a price is the word of the sources of one network alone."""
    crypto_screening: str
    """Screening of senders of coins: `off`, or `chainalysis`, the sanctions oracle on the coins' own network. Coins
    from a listed sender are not credited until an operator decides. There is no oracle for Bitcoin."""
    coinbase_api_base: str
    """Address of Coinbase Exchange's API."""
    kraken_api_base: str
    """Address of Kraken's API."""
    chain_sources: tuple[ChainSources, ...]  # one setting for each network; see shared/kernel/chain_settings.py
    evm_xpub: tuple[AccountKey, ...]
    """Public key of the account that receives coins on every EVM chain: the `xpub` at `m/44'/60'/0'`. After a change
    of the wallet, name the new key first and keep the old key behind a comma, so that old addresses stay watched. The
    key cannot spend, but reveals all addresses: show the key to nobody."""
    bitcoin_key: tuple[AccountKey, ...]
    """Public key of the account that receives bitcoin, as for EVM_XPUB. A `zpub` (`vpub` for a test network), or the
    wallet's output descriptor `wpkh(…)#…` or `tr(…)#…` with the checksum, in quotes."""
    x402_facilitator_url: str
    """Address of an x402 facilitator, which brings agents' signed payments to the chain and pays the gas. Empty: agents
    cannot pay by themselves. The chain decides whether a payment counts, not the facilitator."""
    region: str
    release: str
    """Release of the deployed source, such as `v3`. `make deploy` writes the name; on a laptop there is none."""
    public_url: str
    """Address of this API. Users who paid return to a page there, unless the app names a page."""


def parse_settings(env: Mapping[str, str], secrets: Collection[str] = (SIGNING_KEY,)) -> Settings:
    """Return the settings in `env`. Raises SettingsError with all that is wrong, but never with a secret's value.

    `secrets` are the names of the secrets that must be there. Other secrets may be missing.
    """
    problems = [f"{name} is not set" for name in secrets if not env.get(name)]

    def read(name: str, default: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(env.get(name) or default)
        except ValueError as error:
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
        ledger_signing_keys=read(SIGNING_KEY, " ", parse_signing_keys),
        ledger_log_origin=read("LEDGER_LOG_ORIGIN", env.get("LEDGER_ID") or project or " ", log_settings.origin),
        ledger_log_key=read(LOG_KEY, " ", log_settings.seed),
        ledger_log_kms_key=(kms_key := read("LEDGER_LOG_KMS_KEY", " ", log_settings.key_version)),
        ledger_log_vkey=read("LEDGER_LOG_VKEY", " ", log_settings.one_vkey(is_needed=bool(kms_key))),
        ledger_log_former_keys=read("LEDGER_LOG_FORMER_KEYS", " ", log_settings.vkeys),
        ledger_anchor_bucket=read("LEDGER_ANCHOR_BUCKET", " ", log_settings.bucket),
        ledger_witnesses=read("LEDGER_WITNESSES", " ", log_settings.witnesses),
        ai_platform_api_key=env.get("AI_PLATFORM_API_KEY") or "",
        ai_platform_base_url=read("AI_PLATFORM_BASE_URL", "https://api.openai.com/v1", values.base_url),
        ai_platform_profile=read("AI_PLATFORM_PROFILE", UNKNOWN_UPSTREAM, _profile),
        ai_platform_fields=read("AI_PLATFORM_FIELDS", " ", values.field_names),
        ai_upstreams=read("AI_UPSTREAMS", " ", lambda text: parse_upstreams(text, env)),
        ai_keyless=read("AI_KEYLESS", " ", values.names),
        upstream_hosted_tools=read("UPSTREAM_HOSTED_TOOLS", "drop", values.one_of("refuse", "drop")),
        upstream_unknown_fields=read("UPSTREAM_UNKNOWN_FIELDS", "refuse", values.one_of("refuse", "drop")),
        default_model=env.get("DEFAULT_MODEL") or "gpt-4o-mini",
        default_image_model=env.get("DEFAULT_IMAGE_MODEL") or "gpt-image-1",
        images_bucket=env.get("IMAGES_BUCKET") or f"{project}-images",
        credits_per_usd=read("CREDITS_PER_USD", "100", values.between(1, 1_000_000)),
        markup_percent=read("MARKUP_PERCENT", "0", values.between(0, 10_000)),
        welcome_bonus_amount=read("WELCOME_BONUS_AMOUNT", "1000", values.credits_of),
        welcome_bonus_requires=read(
            "WELCOME_BONUS_REQUIRES", "any" if is_laptop else "verified", values.bonus_conditions
        ),
        welcome_bonus_uncapped_domains=read(
            "WELCOME_BONUS_UNCAPPED_DOMAINS", "example.com" if is_laptop else " ", values.domains
        ),
        marks_secrets=read("MARKS_SECRET", " ", values.marks_secrets(is_laptop=is_laptop)),
        rate_limit_per_minute=read("RATE_LIMIT_PER_MINUTE", "600", values.between(1, 60_000)),
        rate_limit_burst=read("RATE_LIMIT_BURST", "300", values.between(1, 60_000)),
        threads=read("THREADS", "80", values.between(1, 1_000)),
        client_address_from=read("CLIENT_ADDRESS_FROM", "function", values.one_of(*CLIENT_ADDRESSES)),
        hold_lifetime_seconds=read("HOLD_LIFETIME_SECONDS", "900", values.between(1, 86_400)),
        cors_origins=read("CORS_ORIGINS", ",".join(LAPTOP_ORIGINS) if is_laptop else " ", values.origins),
        app_return_urls=read("APP_RETURN_URLS", " ", values.return_urls),
        app_check=read("APP_CHECK", "off", values.one_of("off", "monitor", "enforce")),
        identity_tenants=read("IDENTITY_TENANTS", " ", values.tenants),
        metrics_access=(access := read("METRICS_ACCESS", "operators", values.one_of("operators", "token"))),
        metrics_token=read("METRICS_TOKEN", " ", values.metrics_token(is_needed=access == "token")),
        web_api_key=env.get("WEB_API_KEY") or ("laptop" if is_laptop else ""),
        payment_providers=read("PAYMENT_PROVIDERS", " ", values.names),
        stripe_secret_key=env.get("STRIPE_SECRET_KEY") or "",
        stripe_publishable_key=read("STRIPE_PUBLISHABLE_KEY", " ", values.publishable_key),
        stripe_webhook_secret=env.get("STRIPE_WEBHOOK_SECRET") or "",
        stripe_api_base=read("STRIPE_API_BASE", "https://api.stripe.com", values.address),
        paypal_client_id=env.get("PAYPAL_CLIENT_ID") or "",
        paypal_client_secret=env.get("PAYPAL_CLIENT_SECRET") or "",
        paypal_webhook_id=env.get("PAYPAL_WEBHOOK_ID") or "",
        paypal_webhook_roots=env.get("PAYPAL_WEBHOOK_ROOTS") or "",
        paypal_api_base=read("PAYPAL_API_BASE", "https://api-m.paypal.com", values.address),
        crypto_networks=read("CRYPTO_NETWORKS", " ", lambda text: parse_networks(text, env)),
        crypto_spot_prices=read("CRYPTO_SPOT_PRICES", ",".join(values.SPOT_PRICES), values.spot_prices),
        crypto_screening=read("CRYPTO_SCREENING", "off", values.one_of("off", "chainalysis")),
        coinbase_api_base=read("COINBASE_API_BASE", "https://api.exchange.coinbase.com", values.address),
        kraken_api_base=read("KRAKEN_API_BASE", "https://api.kraken.com", values.address),
        chain_sources=parse_chain_sources(env, read),
        evm_xpub=read("EVM_XPUB", " ", values.evm_keys),
        bitcoin_key=read("BITCOIN_KEY", " ", values.bitcoin_keys),
        x402_facilitator_url=read("X402_FACILITATOR_URL", " ", values.optional_address),
        region=(region := env.get("FUNCTION_REGION") or "us-central1"),
        release=env.get("RELEASE") or "",
        public_url=read("PUBLIC_URL", f"https://{region}-{project}.cloudfunctions.net/api", values.address),
    )
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def parse_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Parse `kid:base64seed[,kid:base64seed…]`: the first key signs, the rest verify. A blank text has no keys.

    Raises ValueError, without the secret in the message.
    """
    if not text.strip():
        return ()
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
UPSTREAM_KEY = re.compile(r"AI_UPSTREAM_.+_API_KEY")


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
    prefixes = {name: _prefix(name) for name in names}
    known = {f"{prefix}_{last}" for prefix in prefixes.values() for last in ("API_KEY", "PROFILE", "FIELDS")}
    if strays := sorted(name for name in env if UPSTREAM_SETTING.fullmatch(name) and name not in known):
        raise ValueError(f"has no upstream for {strays[0]}")
    return tuple(
        UpstreamSettings(
            name=name,
            base_url=values.base_url(url),
            api_key=env.get(f"{prefixes[name]}_API_KEY") or "",
            profile=_profile(env.get(f"{prefixes[name]}_PROFILE") or UNKNOWN_UPSTREAM),
            fields=values.field_names(env.get(f"{prefixes[name]}_FIELDS") or ""),
        )
        for name, _, url in pairs
    )


def upstream_secrets(text: str) -> dict[str, str]:
    """Return the name of the secret of each upstream in `text`, the setting AI_UPSTREAMS."""
    names = (part.partition("=")[0].strip() for part in text.split(",") if part.strip())
    return {name: f"{_prefix(name)}_API_KEY" for name in names}


def _prefix(upstream: str) -> str:
    return f"AI_UPSTREAM_{upstream.upper().replace('-', '_')}"


def _profile(text: str) -> str:
    if text not in UPSTREAM_PROFILES:
        raise ValueError(f"names no known profile; known are {', '.join(UPSTREAM_PROFILES)}")
    return text
