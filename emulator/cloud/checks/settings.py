"""Checks of the plain settings in `.env` and `.env.<project>`: their names and their form."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches

from emulator.cloud.checks.check import Told, check
from emulator.cloud.checks.project import ProjectFacts
from emulator.reference.settings import REQUIRED, name_of
from shared.bootstrap.secrets import used_providers
from shared.kernel.chain_settings import CHAIN_SETTING
from shared.kernel.network_settings import NETWORK_SETTING
from shared.kernel.settings import UPSTREAM_SETTING, Settings, SettingsError, parse_settings
from shared.payments.providers import PROVIDERS, ProviderRecord

GIVEN_BY_GOOGLE = frozenset({"PROJECT", "IS_LAPTOP", "REGION"})
"""Fields of `Settings` that the platform fills in."""
KNOWN = frozenset(name_of(each.name) for each in fields(Settings)) - GIVEN_BY_GOOGLE
OF_THE_DEPLOYMENT = frozenset(
    """
    ALERT_EMAIL BACKUP_DAILY_DAYS BACKUP_WEEKLY_DAYS FIRESTORE_LOCATION IMAGES_RETENTION_DAYS LEDGER_ANCHOR_DAYS
    MIN_INSTANCES
    MONTHLY_BUDGET REGION RELEASE WEBHOOKS_URL
    """.split()  # noqa: SIM905  # read as a list of names, not as quoted words
)
"""Settings that `make deploy` and the Firebase CLI read, and no function."""
ORIGINS = "CORS_ORIGINS"
PLACE = r"[a-z]+-[a-z]+\d+"
UP_TO_98 = r"\d|[1-8]\d|9[0-8]"
FORMS: Mapping[str, tuple[str, str]] = {
    "ALERT_EMAIL": (r"[^@\s]+@[^@\s]+\.[^@\s]+", "must be an e-mail address"),
    "BACKUP_DAILY_DAYS": (UP_TO_98, "must be 0 to 98, in days"),
    "BACKUP_WEEKLY_DAYS": (UP_TO_98, "must be 0 to 98, in days"),
    "FIRESTORE_LOCATION": (rf"{PLACE}|nam5|nam7|eur3", "must be a region such as us-central1, or nam5 or eur3"),
    "IMAGES_BUCKET": (r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", "must be the name of a bucket alone, without gs://"),
    "IMAGES_RETENTION_DAYS": (r"0|[7-9]|[1-8]\d|90", "must be 0, or 7 to 90, in days"),
    "LEDGER_ANCHOR_DAYS": (r"[1-9]\d{0,3}|[12]\d{4}|3[0-5]\d{3}|36[0-4]\d{2}|36500", "must be 1 to 36500, in days"),
    "MIN_INSTANCES": (r"\d|[1-4]\d|50", "must be a whole number from 0 to 50"),
    "MONTHLY_BUDGET": (r"\d{1,9}", "must be a whole amount in the billing account's currency"),
    "REGION": (PLACE, "must be a region such as us-central1"),
    "WEBHOOKS_URL": (r"https://\S+", "must be an address that begins with https://"),
}
"""Forms of settings that a deployment gives to Google, with what the value must be."""
RESERVED_PREFIXES = ("X_GOOGLE_", "FIREBASE_", "EXT_", "KIT_")
RESERVED = frozenset(
    """
    CLOUD_RUNTIME_CONFIG ENTRY_POINT EVENTARC_CLOUD_EVENT_SOURCE FUNCTION_IDENTITY FUNCTION_MEMORY_MB FUNCTION_NAME
    FUNCTION_REGION FUNCTION_SIGNATURE_TYPE FUNCTION_TARGET FUNCTION_TIMEOUT_SEC FUNCTION_TRIGGER_TYPE GCLOUD_PROJECT
    GCP_PROJECT GOOGLE_CLOUD_PROJECT K_CONFIGURATION K_REVISION K_SERVICE PORT
    """.split()  # noqa: SIM905  # read as a list of names, not as quoted words
)
"""Names that the Firebase CLI refuses in a file with settings."""
EMULATOR_SETTING = re.compile(r"FUNCTIONS_EMULATOR|\w+_EMULATOR(_\w+)?")
PLACEHOLDER = re.compile(
    r"<.*>|\{\{.*\}\}|\$\{.*\}|your[-_ ].*|my[-_ ](key|secret|token|project|bucket)|change[-_ ]?me.*|todo.*|fixme.*"
    r"|replace[-_ ]?me.*|placeholder.*|insert[-_ ].*|example|secret|password|test|dummy|x{3,}|\.{3,}|…"
    r"|(dummy|fake|sample|example)[-_ ].*"
    r"|(sk|pk|rk|whsec|key)[-_]([\w-]*[-_])?(x+|\.{2,}|…|\*+|0+|123\d*|your.*|here)",
    re.IGNORECASE,
)
EXAMPLE_KEY = REQUIRED["LEDGER_SIGNING_KEY"]


OF_NETWORKS = (CHAIN_SETTING, NETWORK_SETTING)
"""Names of the settings of single networks."""


def problems_of(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the problem of each invalid setting, by name. Each setting is parsed alone."""
    found: dict[str, str] = {}
    upstreams = {name: value for name, value in values.items() if UPSTREAM_SETTING.fullmatch(name)}
    networks = {name: value for name, value in values.items() if _is_of_network(name)}
    for name in sorted({*values, *(["AI_UPSTREAMS"] if upstreams else [])} & KNOWN):
        beside = {"AI_UPSTREAMS": upstreams, "CRYPTO_NETWORKS": networks}.get(name, {})
        alone = {name: values[name]} if name in values else {}
        try:
            parse_settings({**REQUIRED, **beside, **alone})
            used_providers(alone)
        except SettingsError as error:
            found[name] = str(error).removeprefix(f"{name} ")
    return found


def settings_of(project: str, values: Mapping[str, str]) -> Settings:
    """Return the settings of a deployment. Invalid settings, and those of an emulator, are left out."""
    wrong = problems_of(values)
    left = {name: value for name, value in values.items() if name not in wrong and name in KNOWN}
    if "AI_UPSTREAMS" not in wrong:
        left |= {name: value for name, value in values.items() if UPSTREAM_SETTING.fullmatch(name)}
    if "CRYPTO_NETWORKS" in left:
        left |= {name: value for name, value in values.items() if _is_of_network(name)}
    return parse_settings({"LEDGER_SIGNING_KEY": EXAMPLE_KEY, **left, "GCLOUD_PROJECT": project})


@check("Copy the settings that you want to change from `emulator/.env.example` to that file.", severity="hint")
def settings_file_missing(project: ProjectFacts) -> Iterator[str]:
    """The project has no file with settings, so every setting has its default."""
    if not project.files.value.is_there:
        yield f"`{project.files.value.project_file}` does not exist: every setting has its default."


@check("Write the line as NAME=value, or begin a comment with #.")
def settings_line_unreadable(project: ProjectFacts) -> Iterator[str]:
    """A line of a file with settings is no setting, so the Firebase CLI refuses to deploy."""
    for place in project.files.value.unreadable:
        yield f"The Firebase CLI cannot read {place}."


@check("Correct the name, or delete the line.")
def setting_unknown(project: ProjectFacts) -> Iterator[str | Told]:
    """A setting has a name that no function reads, which may be a typing error."""
    names = KNOWN | OF_THE_DEPLOYMENT | project.needs.params.keys() | project.needs.secrets
    for line in project.files.value.lines:
        if _is_known(line.name, names) or is_reserved(line.name):
            continue
        near = get_close_matches(line.name.upper(), sorted(names), n=1)
        sentence = f"`{line.name}` in {line.file} is read by no function."
        if near:
            yield Told(sentence=sentence, remedy=f"Write `{near[0]}`, if that is meant; else delete the line.")
        else:
            yield sentence


@check("Correct the value in the file with settings; docs/reference/settings.md says each setting's meaning.")
def setting_malformed(project: ProjectFacts) -> Iterator[str]:
    """A setting has a value that functions cannot parse, so no function would start."""
    values = project.files.value.values
    plain = {name: value for name, value in values.items() if name not in project.needs.secrets}
    problems = dict(problems_of(plain))
    for name, (form, problem) in FORMS.items():
        if values.get(name) and not re.fullmatch(form, values[name]):
            problems[name] = problem
    for name, problem in sorted(problems.items()):
        is_wildcard = name == ORIGINS and "*" in values.get(name, "")
        if not is_placeholder(values.get(name, "")) and not is_wildcard:
            yield f"`{name}` {problem}."


@check("Set the value, or delete the line.")
def setting_placeholder(project: ProjectFacts) -> Iterator[str]:
    """A setting still has the text that stands for a value."""
    for name, value in project.values.items():
        if is_placeholder(value) and name not in project.needs.secrets:
            yield f"The value of `{name}` is a placeholder."


@check("Keep one of the lines.")
def setting_twice(project: ProjectFacts) -> Iterator[str]:
    """A file sets a name twice, so that the last line wins unseen."""
    lines = Counter((line.file, line.name) for line in project.files.value.lines)
    for (file, name), number in lines.items():
        if number > 1:
            yield f"`{name}` stands {number} times in {file}."


@check("Delete the line: Google gives this value to every function.")
def setting_reserved(project: ProjectFacts) -> Iterator[str]:
    """A setting has a name that Google keeps for itself, so the Firebase CLI refuses to deploy."""
    for line in project.files.value.lines:
        if is_reserved(line.name) and not EMULATOR_SETTING.fullmatch(line.name):
            yield f"`{line.name}` in {line.file} is a name that the Firebase CLI refuses."


@check("Set the name in `.env.{project}`, or delete the provider's other keys.")
def setting_missing(project: ProjectFacts) -> Iterator[str]:
    """A setting is missing that another setting or secret needs."""
    values = project.values
    for record in PROVIDERS.values():
        name = record.app_key.upper()
        is_wanted = record.name in project.used or ("PAYMENT_PROVIDERS" not in values and _has_all(project, record))
        if is_wanted and not values.get(name):
            yield f"`{name}` is not set, although the secrets of {record.title} exist: {record.title} is not offered."
    if values.get("PAYPAL_CLIENT_ID") and not values.get("PAYPAL_WEBHOOK_ID"):
        yield "`PAYPAL_WEBHOOK_ID` is not set, although PayPal is in use: its webhook accepts nothing."


@check("Raise `HOLD_LIFETIME_SECONDS` above the longest `timeoutSeconds` in functions.yaml, or delete the line.")
def hold_lifetime_short(project: ProjectFacts) -> Iterator[str]:
    """A hold ends before the function that holds the credits must have ended."""
    longest = max((each.timeout_seconds or 0 for each in project.needs.functions.values()), default=0)
    if project.settings.value.hold_lifetime_seconds <= longest:
        seconds = project.settings.value.hold_lifetime_seconds
        yield f"A hold ends after {seconds} s (`HOLD_LIFETIME_SECONDS`), and functions run up to {longest} s."


@check("Delete the line: `main.py` gives each function its own number.")
def threads_set(project: ProjectFacts) -> Iterator[str]:
    """One number of threads is set for all functions, large and small."""
    if "THREADS" in project.values:
        yield "`THREADS` is set, so that every function has the same number of threads."


@check("Set `LEDGER_ID` to this project's id or to a name of your own, before the first user signs up.")
def ledger_of_another_project(project: ProjectFacts) -> Iterator[str]:
    """The ledger has the name of a laptop or of another Google project."""
    name = project.values.get("LEDGER_ID", "")
    if name.startswith("demo-"):
        yield f"`LEDGER_ID` is `{name}`, the name of a laptop's ledger."


def is_placeholder(value: str) -> bool:
    """Return True for a text that stands for a value, such as `<your key>` or `changeme`."""
    return bool(PLACEHOLDER.fullmatch(value.strip()))


def _has_all(project: ProjectFacts, record: ProviderRecord) -> bool:
    return all(project.secrets.value.get(name) for name in record.secrets)


def _is_of_network(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in OF_NETWORKS)


def _is_known(name: str, names: frozenset[str]) -> bool:
    dynamic = (UPSTREAM_SETTING, *OF_NETWORKS, EMULATOR_SETTING)
    return name in names or any(pattern.fullmatch(name) for pattern in dynamic)


def is_reserved(name: str) -> bool:
    """Return True if the Firebase CLI refuses a file with this name."""
    return name in RESERVED or name.startswith(RESERVED_PREFIXES)


CHECKS = (
    settings_file_missing,
    settings_line_unreadable,
    setting_unknown,
    setting_malformed,
    setting_placeholder,
    setting_twice,
    setting_reserved,
    setting_missing,
    hold_lifetime_short,
    threads_set,
    ledger_of_another_project,
)
