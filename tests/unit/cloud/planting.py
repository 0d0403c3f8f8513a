"""Planted mistakes: changed facts of a sound project, and the words that the doctor must find for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from emulator.cloud.checks.needs import Needs
from emulator.cloud.checks.project import Line, Offer, Probe, Provider, Secret
from shared.bootstrap.secrets import secrets_of
from tests.support.sound_project import (
    ADDRESS,
    DEPLOYMENT,
    INFO,
    LISTING,
    LIVE,
    MODELS,
    NAME,
    NEEDS,
    PACKAGES,
    PAYPAL,
    SECRETS,
    SETTINGS,
    STRIPE,
    account_of,
    endpoint,
    functions_of,
    setting_lines,
    sound,
)

TEST = "test"
NODES = "https://node.shop.example,https://node.other.example"
API = account_of("api")
JOBS = sound().jobs.value
GRANTS = sound().grants.value
WATCH = sound().watch.value
AN_INDEX = min(NEEDS.indexes)
FIELD = min(NEEDS.single_fields)
BALANCED = {"CLIENT_ADDRESS_FROM": "load_balancer", "PUBLIC_URL": "https://api.shop.example"}


@dataclass(frozen=True)
class Planted:
    """Changes of the sound project's facts, with words that the finding's sentence and remedy must have."""

    name: str
    changes: Mapping[str, Any]
    sentence: str
    remedy: str = ""
    id: str = field(default="")


def settings(**changes: str | None) -> dict[str, Any]:
    """The changed settings, deployed as well."""
    values = {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None}
    deployed = {name: value for name, value in values.items() if value and name not in SECRETS} | {"RELEASE": "v1"}
    functions = {name: replace(each, settings=deployed) for name, each in functions_of(NEEDS).items()}
    return {"settings": changes, "functions": functions}


def upstream(address: str) -> dict[str, Any]:
    """One more model provider, `own`, whose key is stored and bound."""
    name = "AI_UPSTREAM_OWN_API_KEY"
    found = settings(AI_UPSTREAMS=address)
    functions = {
        function: replace(each, secrets={**each.secrets, name: "1"}) for function, each in found["functions"].items()
    }
    return {**found, "functions": functions, **secrets(**{name: "a-key-of-our-own"})}


def more_lines(*lines: Line) -> dict[str, Any]:
    files = setting_lines()
    return {"files": replace(files, lines=(*files.lines, *lines))}


def line(name: str, value: str, file: str = f".env.{NAME}") -> Line:
    return Line(file=file, name=name, value=value)


def network(name: str, sources: str, urls: str = NODES, **changes: str) -> dict[str, Any]:
    """One network of crypto payments, whose sources are stored and bound."""
    found = settings(CRYPTO_NETWORKS=name, **changes)
    deployed = {**SETTINGS, "CRYPTO_NETWORKS": name}
    functions = {
        function: replace(each, secrets=dict.fromkeys(secrets_of(function, deployed), "1"))
        for function, each in found["functions"].items()
    }
    return {**found, "functions": functions, **secrets(**{sources: urls})}


def secrets(**changes: Secret | str | None) -> dict[str, Any]:
    return {"secrets": changes}


def api(**changes: Any) -> dict[str, Any]:
    return {"functions": functions_of(NEEDS, **changes)}


def job(name: str, **changes: Any) -> dict[str, Any]:
    return {"jobs": {**JOBS, name: replace(JOBS[name], **changes)}}


def stripe(**changes: Any) -> dict[str, Any]:
    return {"stripe": replace(STRIPE, endpoints=(endpoint("stripe", id="we_1", **changes),))}


def paypal(**changes: Any) -> dict[str, Any]:
    return {"paypal": replace(PAYPAL, endpoints=(endpoint("paypal", **changes),))}


def info(**changes: Any) -> dict[str, Any]:
    told = replace(INFO, json={**INFO.json, **changes})
    return {"deployment": replace(DEPLOYMENT, info=told, own=told)}


def models(**changes: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {**MODELS, **{name.replace("_", "-"): fields for name, fields in changes.items()}}
    kept = {name: fields for name, fields in found.items() if fields is not None}
    return {"offer": Offer(models=kept, packages=PACKAGES), "providers": {"default": Provider()}}


def package(**changes: Any) -> dict[str, Any]:
    return {"offer": Offer(models=MODELS, packages={"small": {**PACKAGES["small"], **changes}})}


def catalogue(**content: Any) -> dict[str, Any]:
    return {"needs": replace(NEEDS, catalogue=content)}


def changed(function: str, **changes: Any) -> dict[str, Any]:
    """The deployed functions, one of them with other fields."""
    found = functions_of(NEEDS)
    return {**found, function: replace(found[function], **changes)}


def bound(name: str, version: str, **others: str | None) -> dict[str, Any]:
    """The deployed functions with a version of one secret; `others` are the versions of single functions."""
    return {
        function: replace(each, secrets=_versions(each.secrets, name, others.get(function, version)))
        for function, each in functions_of(NEEDS).items()
    }


def _versions(secrets: Mapping[str, str], name: str, version: str | None) -> dict[str, str]:
    kept = {key: value for key, value in secrets.items() if key != name}
    return kept if version is None or name not in secrets else {**kept, name: version}


def closed(**changes: str) -> dict[str, Any]:
    """Functions that take calls of a load balancer only, deployed with these settings."""
    values = {**SETTINGS, **changes}
    functions = functions_of(NEEDS, ingress="ALLOW_INTERNAL_AND_GCLB")
    return {"functions": {name: replace(each, settings=values) for name, each in functions.items()}}


def webhook(provider: str, answer: Probe) -> dict[str, Any]:
    return {"deployment": replace(DEPLOYMENT, webhooks={**DEPLOYMENT.webhooks, provider: answer})}


def named(name: str) -> dict[str, Any]:
    """The sound project under another name: providers and API know that name."""
    address = ADDRESS.replace(NAME, name)
    told = replace(INFO, json={**INFO.json, "project": name, "ledger_id": name})
    return {
        "name": name,
        "stripe": replace(STRIPE, endpoints=(endpoint("stripe", url=f"{address}/stripe_webhook"),)),
        "paypal": replace(PAYPAL, endpoints=(endpoint("paypal", url=f"{address}/paypal_webhook"),)),
        "deployment": replace(DEPLOYMENT, info=told, own=told),
    }


def with_function(name: str, **changes: Any) -> Needs:
    """The needs of a release whose function has other needs."""
    return replace(NEEDS, functions={**NEEDS.functions, name: replace(NEEDS.functions[name], **changes)})


def dearer(prompt: str) -> dict[str, Any]:
    return {**LISTING[0], "pricing": {"prompt": prompt, "completion": "0.0000006"}}


def swapped(mode: str, **names: str) -> dict[str, str]:
    return {name: value.replace(f"_{LIVE}_", f"_{mode}_") for name, value in names.items()}


CHAT = MODELS["gpt-4o-mini"]
TEST_SECRET_KEY = swapped(TEST, STRIPE_SECRET_KEY=f"sk_{LIVE}_51PgafTB1WZVZmkqzQmE0kTn4hTq8mVwXbYcZdAeBfCg")
TEST_PUBLIC_KEY = swapped(TEST, STRIPE_PUBLISHABLE_KEY=SETTINGS["STRIPE_PUBLISHABLE_KEY"])
SANDBOX = {"PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com"}
ODD_KEY = "k1:" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
