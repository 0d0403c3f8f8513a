"""Checks for a laptop's defaults in a real project: emulators, stand-ins, addresses of this machine, open bonuses."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from emulator.cloud.checks.check import check
from emulator.cloud.checks.project import ProjectFacts
from emulator.cloud.checks.settings import EMULATOR_SETTING, ORIGINS
from shared.kernel.settings import LAPTOP_ORIGINS

URL = re.compile(r"https?://[^\s,]+", re.IGNORECASE)
DEMO = "demo-"
LAPTOP_HOSTS = frozenset({"localhost", "host.docker.internal", "0.0.0.0", "::"})
LAPTOP_DOMAIN = "example.com"
LAPTOP_KEY = "laptop"


@check("Name a real project: make doctor PROJECT=<project id>.")
def demo_project(project: ProjectFacts) -> Iterator[str]:
    """The project's id begins with `demo-`, which Google's emulators keep for themselves."""
    if project.name.startswith(DEMO):
        yield f"`{project.name}` is a project of the emulators, not of Google."


@check("Delete the line.")
def emulator_setting(project: ProjectFacts) -> Iterator[str]:
    """A setting leads functions to an emulator."""
    for line in project.files.value.lines:
        if EMULATOR_SETTING.fullmatch(line.name):
            yield f"`{line.name}` in {line.file} leads the functions to an emulator."


@check("Set the provider's or your own public address, or delete the line to take the default.")
def laptop_address(project: ProjectFacts) -> Iterator[str]:
    """A setting holds an address of this machine or of a private network."""
    for name, value in project.values.items():
        if name == ORIGINS or EMULATOR_SETTING.fullmatch(name):
            continue
        for url in URL.findall(value):
            if is_private(url):
                yield f"`{name}` leads to {urlsplit(url).hostname}, which only a laptop reaches."


@check("Begin the address with https://.")
def address_not_https(project: ProjectFacts) -> Iterator[str]:
    """A setting holds an address without encryption."""
    for name, value in project.values.items():
        for url in URL.findall(value):
            if url.lower().startswith("http://") and not is_private(url):
                yield f"`{name}` holds an address that begins with http://, so keys travel in the clear."


@check("Name the provider's own profile, or `auto`.")
def laptop_profile(project: ProjectFacts) -> Iterator[str]:
    """A model provider has the profile of the laptop's stand-in."""
    for name, value in project.values.items():
        if name.endswith("_PROFILE") and value == LAPTOP_KEY:
            yield f"`{name}` is `laptop`, the stand-in's profile."


@check("Delete the line to require a verified address, or name `verified`, `app_check` or `card`.")
def bonus_for_anyone(project: ProjectFacts) -> Iterator[str]:
    """The welcome bonus asks for nothing, so a program can collect bonuses without end."""
    settings = project.settings.value
    if not settings.welcome_bonus_requires and settings.welcome_bonus_amount:
        yield "`WELCOME_BONUS_REQUIRES` is `any`: everybody who makes an account has the bonus, unverified."


@check("Name your own domain, or delete the line.")
def laptop_bonus_domain(project: ProjectFacts) -> Iterator[str]:
    """The caps of the welcome bonus do not apply to the laptop's mail domain."""
    if LAPTOP_DOMAIN in project.settings.value.welcome_bonus_uncapped_domains:
        yield f"`WELCOME_BONUS_UNCAPPED_DOMAINS` names {LAPTOP_DOMAIN}, the laptop's domain."


@check("Name the origins of your web apps, such as https://app.example.com.")
def origin_of_a_laptop(project: ProjectFacts) -> Iterator[str]:
    """Pages of a developer's machine may call the API with a user's token."""
    for origin in project.settings.value.cors_origins:
        if origin in LAPTOP_ORIGINS or is_private(origin.replace(":*", "")):
            yield f"`{ORIGINS}` allows {origin}."


@check("Name each origin in full: a wildcard is not understood, and allows nothing or everything.")
def origin_with_wildcard(project: ProjectFacts) -> Iterator[str]:
    """An origin of web apps is a wildcard."""
    value = project.values.get(ORIGINS, "")
    for origin in (part.strip() for part in value.split(",")):
        if "*" in origin and origin not in LAPTOP_ORIGINS and not is_private(origin.replace(":*", "")):
            yield f"`{ORIGINS}` has a wildcard: {origin}."


@check("Make a key of its own for this project: make key PROJECT={project}.")
def laptop_signing_key(project: ProjectFacts) -> Iterator[str]:
    """The ledger is signed with a laptop's key, which stands in a file on that laptop."""
    for key in (project.secret("LEDGER_SIGNING_KEY") or "").split(","):
        if key.strip().startswith("laptop-"):
            yield f"`LEDGER_SIGNING_KEY` holds the laptop's key {key.strip().partition(':')[0]}."


@check("Store the provider's own key as a new version of the secret.")
def laptop_key(project: ProjectFacts) -> Iterator[str]:
    """A provider's key is the one that the laptop's stand-ins take."""
    named = [("WEB_API_KEY", project.values.get("WEB_API_KEY", ""))]
    named += [(name, each.value or "") for name, each in project.secrets.value.items() if name in _keys(project)]
    for name, value in named:
        if value.strip().lower() in {LAPTOP_KEY, "stand-in", "sk_test_laptop", "whsec_laptop"}:
            yield f"`{name}` is the key of a stand-in on a laptop."


def is_private(url: str) -> bool:
    """Return True if the address is one of this machine or of a private network."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host in LAPTOP_HOSTS or host.endswith((".local", ".localhost", ".internal", ".test"))
    return address.is_private or address.is_loopback or address.is_unspecified or address.is_link_local


def _keys(project: ProjectFacts) -> frozenset[str]:
    return project.needs.secrets | {"AI_PLATFORM_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}


CHECKS = (
    demo_project,
    emulator_setting,
    laptop_address,
    address_not_https,
    laptop_profile,
    bonus_for_anyone,
    laptop_bonus_domain,
    origin_of_a_laptop,
    origin_with_wildcard,
    laptop_signing_key,
    laptop_key,
)
