"""Secrets as an operator gives them: from the environment, from a file, or typed without echo; never printed."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from shared.kernel.chain_settings import CHAIN_SETTING, source_urls
from shared.kernel.log_settings import seed
from shared.kernel.settings import LOG_KEY, SIGNING_KEY, parse_signing_keys

PLACEHOLDER = re.compile(
    r"(?i)^(?:<.*>|\.{3,}|…|x{3,}|\*+|todo|tbd|none|null|secret|password|key|test|dummy|placeholder|example)$"
    r"|change.?me|your[-_ ]|[-_](?:\.\.\.|…|x{4,}|\*{3,})$|placeholder|insert|<[^>]*>"
)
"""Texts that people leave in the place of a secret."""
LENGTH_MIN = 8
SHAPES: Mapping[str, tuple[str, str]] = {
    "STRIPE_SECRET_KEY": (
        r"(?:sk|rk)_(?:org_)?(?:live|test)_\w{8,}",
        "begin with sk_live_, sk_test_, rk_live_ or rk_test_",
    ),
    "STRIPE_WEBHOOK_SECRET": (r"whsec_\S{8,}(?:,\s*whsec_\S{8,})*", "begin with whsec_"),
}
"""Form of a secret, by name: a pattern, and how a sentence says the pattern after “must”."""
WHERE: Mapping[str, str] = {
    "AI_PLATFORM_API_KEY": "the API key of the model provider",
    "PAYPAL_CLIENT_SECRET": "the client secret of the PayPal app (developer.paypal.com, Apps & Credentials)",
    "STRIPE_SECRET_KEY": "the secret key of the Stripe account (dashboard.stripe.com, Developers, API keys)",
}


class BadSecret(CloudProblem):
    """Error for a secret that cannot be right. The message never has the value."""


def given_secret(project: Project, name: str) -> str:
    """Return a secret from the variable NAME, the file in NAME_FILE, or the terminal. Raises CloudProblem."""
    value = project.environment.get(name, "").strip() or _from_file(project, name)
    if not value:
        value = project.terminal.ask_secret(name, _meaning_of(name)).strip()
    check_secret(name, value)
    return value


def _meaning_of(name: str) -> str:
    if CHAIN_SETTING.fullmatch(name):
        return "the addresses of the network's nodes, better two of different companies, comma-separated"
    return WHERE.get(name, f"the secret {name}")


def _from_file(project: Project, name: str) -> str:
    path = project.environment.get(f"{name}_FILE", "")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSecret(f"{name}_FILE names {path}, which cannot be read: correct the path.") from error


def check_secret(name: str, value: str) -> None:
    """Raise BadSecret for an empty value, a placeholder, or a value without the form of this secret."""
    if not value:
        raise BadSecret(f"{name} is empty: give a value.")
    if PLACEHOLDER.search(value) or len(value) < LENGTH_MIN:
        raise BadSecret(f"{name} looks like a placeholder, not like a secret: give the real value.")
    if any(letter.isspace() for letter in value) and name != "STRIPE_WEBHOOK_SECRET":
        raise BadSecret(f"{name} has a blank inside: give the value alone.")
    if name in SHAPES and not re.fullmatch(SHAPES[name][0], value):
        raise BadSecret(f"{name} must {SHAPES[name][1]}: give the right value.")
    parse, remedy = _form_of(name)
    try:
        parse(value)
    except ValueError as error:
        raise BadSecret(f"{name} {error}: {remedy}.") from None


def _form_of(name: str) -> tuple[Callable[[str], object], str]:
    """Return the parser of a secret's form, which raises ValueError, and the remedy."""
    if CHAIN_SETTING.fullmatch(name):
        return source_urls, "give the right value"
    if name == LOG_KEY:
        return seed, "remove the value, and make deploy makes a key"
    if name == SIGNING_KEY:
        return parse_signing_keys, "make one with `make key`"
    return str, ""
