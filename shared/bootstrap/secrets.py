"""Secrets of each function: which ones a deployment binds, and which ones a deployed function must find.

`functions.yaml` names the same secrets. A project binds fewer without a payment provider, and more with further
model providers. Only the standard library is imported: the deployment reads this table with any Python.
"""

from collections.abc import Mapping

from shared.kernel.chain_settings import sources_setting
from shared.kernel.settings import LOG_KEY, SIGNING_KEY, SettingsError, upstream_secrets
from shared.payments.providers import PROVIDERS, ProviderRecord

LEDGER = SIGNING_KEY
LOG = LOG_KEY
"""Key of the transparency log. A key in Cloud KMS needs no secret."""
MARKS = "MARKS_SECRET"
MODELS = "AI_PLATFORM_API_KEY"
"""Key of the default model provider. The keys of further providers go to the same functions."""
PAYMENTS = "payments"
"""Secrets of all payment providers in use, see `ProviderRecord.secrets`."""
CHAINS = "chains"
"""Addresses of the sources of all networks in use that are not given as plain settings, see `chain_secrets`."""
METRICS = "METRICS_TOKEN"
"""Token of scrapers, if METRICS_ACCESS lets them in."""
NO_PROVIDERS = "none"
DEFAULT = "default"
"""Name of the default model provider in AI_KEYLESS."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "api": (LEDGER, MARKS, MODELS, PAYMENTS, CHAINS, METRICS),
    "on_user_created": (LEDGER, MARKS),
    "on_user_deleted": (LEDGER, MARKS, PAYMENTS),
    "on_ledger_entry": (LEDGER, MARKS),
    "on_entry_updated": (LEDGER, MARKS),
    "on_entry_deleted": (LEDGER, MARKS),
    "generate_image": (LEDGER, MARKS, MODELS),
    **{record.webhook: record.webhook_secrets for record in PROVIDERS.values()},
    "on_provider_event": (LEDGER, MARKS, PAYMENTS),
    "run_agent_step": (LEDGER, MARKS, MODELS),
    "every_minute": (LEDGER, LOG, MARKS, PAYMENTS, CHAINS),
    "every_day": (LEDGER, MARKS, PAYMENTS, CHAINS),
}
"""Secrets of each function, as few as possible: a webhook stores notices and signs nothing, an agent takes no money."""


def secrets_of(function: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets that a function needs in the project whose plain settings are `env`.

    Raises SettingsError for an unknown payment provider.
    """
    used = used_providers(env)
    if function in {record.webhook for record in PROVIDERS.values()} - {record.webhook for record in used}:
        return ()
    return tuple(name for need in NEEDS[function] for name in _names(need, used, env))


def used_providers(env: Mapping[str, str]) -> tuple[ProviderRecord, ...]:
    """Return the payment providers in use: those in PAYMENT_PROVIDERS, or those whose key for apps is set.

    Raises SettingsError for an unknown name.
    """
    text = env.get("PAYMENT_PROVIDERS", "").strip()
    if not text:
        return tuple(record for record in PROVIDERS.values() if env.get(record.app_key.upper()))
    named = {part.strip() for part in text.split(",") if part.strip()} - {NO_PROVIDERS}
    if unknown := sorted(named - set(PROVIDERS)):
        known = ", ".join((*PROVIDERS, NO_PROVIDERS))
        raise SettingsError(f"PAYMENT_PROVIDERS names {unknown[0]}; known are {known}")
    return tuple(record for name, record in PROVIDERS.items() if name in named)


def model_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets with the keys of the model providers, but of none in AI_KEYLESS.

    Raises SettingsError if AI_KEYLESS names no provider.
    """
    secrets = {DEFAULT: MODELS, **upstream_secrets(env.get("AI_UPSTREAMS", ""))}
    keyless = {part.strip() for part in env.get("AI_KEYLESS", "").split(",") if part.strip()}
    if unknown := sorted(keyless - secrets.keys()):
        raise SettingsError(f"AI_KEYLESS names {unknown[0]}; known are {', '.join(secrets)}")
    return tuple(secret for name, secret in secrets.items() if name not in keyless)


def chain_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets with the sources of the networks in CRYPTO_NETWORKS.

    Sources that are given as a plain setting hold no key, and need no secret.
    """
    networks = (part.partition("=")[0].strip() for part in env.get("CRYPTO_NETWORKS", "").split(","))
    return tuple(name for network in networks if network and not env.get(name := sources_setting(network)))


def project_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets that all functions of a project need together, each once."""
    return tuple(dict.fromkeys(name for function in NEEDS for name in secrets_of(function, env)))


def every_secret() -> tuple[str, ...]:
    """Return the names of the secrets of a project with all payment providers, one model provider and a scraper."""
    return project_secrets({"PAYMENT_PROVIDERS": ",".join(PROVIDERS), "METRICS_ACCESS": "token"})


def needed_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets that must be in `env`: those of a deployed function; for a command LEDGER."""
    function = env.get("FUNCTION_TARGET", "")
    is_deployed = bool(env.get("K_SERVICE")) and not env.get("FUNCTIONS_EMULATOR")
    return secrets_of(function, env) if is_deployed and function in NEEDS else (LEDGER,)


def _names(need: str, used: tuple[ProviderRecord, ...], env: Mapping[str, str]) -> tuple[str, ...]:
    if need == PAYMENTS:
        return tuple(name for record in used for name in record.secrets)
    if need == MODELS:
        return model_secrets(env)
    if need == CHAINS:
        return chain_secrets(env)
    if (need == LOG and env.get("LEDGER_LOG_KMS_KEY")) or (need == METRICS and env.get("METRICS_ACCESS") != "token"):
        return ()
    return (need,)
