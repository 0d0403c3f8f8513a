"""Checks of the payment providers: keys, modes, accounts, and the webhook endpoints that must call this project."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from emulator.cloud.checks.check import check
from emulator.cloud.checks.laptop import is_private
from emulator.cloud.checks.project import Account, Endpoint, Probe, ProjectFacts, names_of
from emulator.cloud.checks.settings import is_placeholder
from shared.payments.ports import ProviderName
from shared.payments.providers import PROVIDERS
from shared.platform.paypal.addresses import LIVE_HOSTS, SANDBOX_HOSTS
from shared.platform.paypal.events import EVENT_TYPES as PAYPAL_EVENTS
from shared.platform.stripe.events import EVENT_TYPES as STRIPE_EVENTS

Mode = Literal["live", "test"]
STRIPE: ProviderName = "stripe"
PAYPAL: ProviderName = "paypal"
EVENTS: Mapping[str, tuple[str, ...]] = {STRIPE: STRIPE_EVENTS, PAYPAL: PAYPAL_EVENTS}
REGION = "us-central1"
"""Region of functions without a param."""
ORGANISATION = "sk_org_"
OF_TESTS = re.compile(r"(^|-)(test|tests|testing|dev|staging|stage|sandbox|demo|qa|preview|rehearsal)(-|\d|$)")
"""Word in the id of a project that is for tests."""
NAMED_KEY = re.compile(r"(?:sk|rk|pk)_(?:live|test)_5(\w{16})\w{13,}", re.ASCII)
"""Key of Stripe that names the account: `5`, then the account's id without `acct_`. Older keys are shorter."""
DISPUTES_SCOPE = "/disputes/"
SEARCH_SCOPE = "/reporting/search"
REGISTER = "Run `make deploy PROJECT={project}`, whose step `webhooks` registers the endpoint."


class Registered(NamedTuple):
    """Endpoint that calls this project, with the provider's name."""

    provider: str
    endpoint: Endpoint


@check("Use a secret key and a publishable key of the same mode: both live, or both test.")
def stripe_keys_of_two_modes(project: ProjectFacts) -> Iterator[str]:
    """Stripe's secret key moves real money and the publishable key does not, or the reverse."""
    secret, public = stripe_modes(project)
    if secret and public and secret != public:
        yield f"`STRIPE_SECRET_KEY` is a {secret} key, and `STRIPE_PUBLISHABLE_KEY` a {public} key."


@check("Make a key of the account itself in Stripe's dashboard, and store that key in `STRIPE_SECRET_KEY`.")
def stripe_organisation_key(project: ProjectFacts) -> Iterator[str]:
    """Stripe's key is an organisation's, with which each call must name an account."""
    if (project.secret("STRIPE_SECRET_KEY") or "").strip().startswith(ORGANISATION):
        yield "`STRIPE_SECRET_KEY` is an organisation's key (sk_org_…), which Stripe refuses without an account."


@check("Take both keys from the dashboard of one account.")
def stripe_keys_of_two_accounts(project: ProjectFacts) -> Iterator[str]:
    """Stripe's secret key and publishable key belong to different accounts, so no payment can be confirmed."""
    public = NAMED_KEY.fullmatch(project.values.get("STRIPE_PUBLISHABLE_KEY", "").strip())
    secret = NAMED_KEY.fullmatch((project.secret("STRIPE_SECRET_KEY") or "").strip())
    accounts = {project.stripe.value.id.removeprefix("acct_")} if _uses(project, STRIPE) else set()
    accounts |= {secret[1]} if secret else set()
    modes = set(stripe_modes(project))
    if public and len(modes) == 1 and accounts - {""} and public[1] not in accounts:
        yield "`STRIPE_PUBLISHABLE_KEY` belongs to another account than `STRIPE_SECRET_KEY`."


@check("Set both providers to live, or both to their test modes.")
def payment_modes_differ(project: ProjectFacts) -> Iterator[str]:
    """One payment provider takes real money and the other does not, so test money buys real credits."""
    modes = payment_modes(project)
    if len(set(modes.values())) > 1:
        told = ", ".join(f"{_title(name)} is {mode}" for name, mode in modes.items())
        yield f"The payment providers are of two modes: {told}."


@check("Set the providers' live keys and addresses. A project for tests should have `test` or `staging` in its id.")
def payments_cost_nothing(project: ProjectFacts) -> Iterator[str]:
    """Every payment provider is in its test mode, so anybody buys credits with a test card."""
    if _is_in_test_mode(project) and not OF_TESTS.search(project.name):
        yield "The payment providers are in test mode: credits cost no money."


@check("Set the providers' live keys before real users come.", severity="hint")
def payments_in_test_mode(project: ProjectFacts) -> Iterator[str]:
    """Every payment provider is in its test mode, in a project that is for tests by its id."""
    if _is_in_test_mode(project) and OF_TESTS.search(project.name):
        yield "The payment providers are in test mode: credits cost no money."


@check("Set `PAYPAL_API_BASE` to the address of the app's own mode, or take the other app's id and secret.")
def paypal_app_of_other_mode(project: ProjectFacts) -> Iterator[str]:
    """PayPal's app belongs to the other mode than the address: a live app in the sandbox, or the reverse."""
    if _uses(project, PAYPAL) and project.paypal.value.is_other_mode:
        yield f"PayPal knows the app in the other mode than {project.settings.value.paypal_api_base}."


@check("Set `PAYPAL_API_BASE` to https://api-m.paypal.com or https://api-m.sandbox.paypal.com, or delete the line.")
def paypal_address_unknown(project: ProjectFacts) -> Iterator[str]:
    """PayPal's address is none of PayPal's, so client id and secret would go to somebody else."""
    base = project.values.get("PAYPAL_API_BASE", "")
    if base and not any(base == f"https://{host}" for host in LIVE_HOSTS | SANDBOX_HOSTS) and _is_public(base):
        yield f"`PAYPAL_API_BASE` is {base}, which is not PayPal."


@check("Delete the line.")
def stripe_address_unknown(project: ProjectFacts) -> Iterator[str]:
    """Stripe's address is not Stripe's, so the secret key would go to somebody else."""
    base = project.values.get("STRIPE_API_BASE", "")
    if base and base.rstrip("/") != "https://api.stripe.com" and _is_public(base):
        yield f"`STRIPE_API_BASE` is {base}, which is not Stripe."


@check("Store a valid key as a new version of the secret, and deploy again.")
def payment_key_refused(project: ProjectFacts) -> Iterator[str]:
    """A payment provider refuses our keys, so nobody can pay."""
    for name, account in _accounts(project):
        if account.refusal and not account.is_other_mode:
            yield f"{_title(name)} refuses our keys: {account.refusal}"


@check("Finish the account's set-up in Stripe's dashboard.")
def stripe_account_incomplete(project: ProjectFacts) -> Iterator[str]:
    """Stripe does not accept payments for this account."""
    if _uses(project, STRIPE) and not project.stripe.value.refusal and not project.stripe.value.is_accepting:
        yield f"The Stripe account {project.stripe.value.id} may not take payments: its set-up is not finished."


@check("Give the app the permission to read disputes in PayPal's dashboard.")
def paypal_disputes_not_permitted(project: ProjectFacts) -> Iterator[str]:
    """PayPal's app may not read disputes, so disputed credits stay spendable."""
    account = project.paypal.value if _uses(project, PAYPAL) else Account(refusal="not in use")
    if not account.refusal and account.scopes and not any(DISPUTES_SCOPE in scope for scope in account.scopes):
        yield "PayPal's app lacks the permission to read disputes."


@check("Grant the app *Transaction Search* in PayPal's dashboard.")
def paypal_search_not_permitted(project: ProjectFacts) -> Iterator[str]:
    """PayPal's app may not search transactions, so closed days are not compared with PayPal's listing."""
    account = project.paypal.value if _uses(project, PAYPAL) else Account(refusal="not in use")
    if not account.refusal and account.scopes and not any(SEARCH_SCOPE in scope for scope in account.scopes):
        yield "PayPal's app lacks the permission to search transactions."


@check(REGISTER)
def endpoint_missing(project: ProjectFacts) -> Iterator[str]:
    """A payment provider has no endpoint for this project, so payments are credited only when a sweep finds them."""
    for name, account in _accounts(project):
        if not account.refusal and not _candidates(project, name, account):
            yield f"{_title(name)} has no endpoint {webhook_address(project, name)}."


@check(REGISTER)
def endpoint_elsewhere(project: ProjectFacts) -> Iterator[str]:
    """A payment provider's endpoint leads to another address than this project's webhook."""
    for name, account in _accounts(project):
        address = webhook_address(project, name)
        urls = {each.url for each in _candidates(project, name, account)}
        if urls and address not in urls:
            told = ", ".join(sorted(urls))
            yield f"{_title(name)} calls {told}, not {address}."


@check("Enable the endpoint in the provider's dashboard.")
def endpoint_disabled(project: ProjectFacts) -> Iterator[str]:
    """The endpoint is disabled, so the provider does not call."""
    for name, endpoint in registered(project):
        if not endpoint.is_enabled:
            yield f"The endpoint {endpoint.id} at {_title(name)} is disabled."


@check(REGISTER)
def endpoint_with_wildcard(project: ProjectFacts) -> Iterator[str]:
    """The endpoint takes every event type, so the provider sends events that nobody reads, and new kinds unasked."""
    for name, endpoint in registered(project):
        if any("*" in event for event in endpoint.events):
            yield f"The endpoint {endpoint.id} at {_title(name)} takes every event."


@check(REGISTER)
def endpoint_events_missing(project: ProjectFacts) -> Iterator[str]:
    """The endpoint lacks an event type, so refunds, disputes or payments are noticed late."""
    for name, endpoint in registered(project):
        missing = set(EVENTS[name]) - set(endpoint.events)
        if missing and not any("*" in event for event in endpoint.events):
            yield f"The endpoint {endpoint.id} at {_title(name)} lacks {names_of(list(missing))}."


@check(REGISTER)
def endpoint_events_surplus(project: ProjectFacts) -> Iterator[str]:
    """The endpoint takes event types that nobody reads, each of which costs a function's time."""
    for name, endpoint in registered(project):
        surplus = {event for event in endpoint.events if "*" not in event} - set(EVENTS[name])
        if surplus:
            yield f"The endpoint {endpoint.id} at {_title(name)} also takes {names_of(list(surplus))}."


@check("Delete all but one of them in the provider's dashboard; the one that stays must have the stored secret.")
def endpoint_twice(project: ProjectFacts) -> Iterator[str]:
    """Two endpoints call the same webhook: one of them is signed with another secret, and is refused."""
    for name, _ in _accounts(project):
        found = [each.endpoint.id for each in registered(project) if each.provider == name]
        if len(found) > 1:
            yield f"{_title(name)} has {len(found)} endpoints at one address: {names_of(found)}."


@check("Set `PAYPAL_WEBHOOK_ID` to the id of the webhook at this project's address, and deploy again.")
def paypal_webhook_id_differs(project: ProjectFacts) -> Iterator[str]:
    """The setting names another webhook of PayPal than the one that calls this project: each notice is refused."""
    ours = {each.endpoint.id for each in registered(project) if each.provider == PAYPAL}
    named = project.values.get("PAYPAL_WEBHOOK_ID")
    if ours and named and named not in ours and not is_placeholder(named):
        yield f"`PAYPAL_WEBHOOK_ID` is {named}, and the webhook at this project's address {names_of(list(ours))}."


@check("Store the endpoint's own signing secret in `STRIPE_WEBHOOK_SECRET`, and deploy again.")
def webhook_secret_differs(project: ProjectFacts) -> Iterator[str]:
    """The deployed webhook refuses a body that is signed with the stored secret."""
    answer = project.deployment.value.signed if _uses(project, STRIPE) else None
    if answer is not None and answer.json.get("reason") == "signature":
        yield "The deployed Stripe webhook does not know the secret in `STRIPE_WEBHOOK_SECRET`."


@check("Store the provider's secret or id, and deploy again.")
def webhook_not_configured(project: ProjectFacts) -> Iterator[str]:
    """The deployed webhook has no secret, so it accepts nothing."""
    for name, answer in _answers(project):
        if answer.json.get("code") == "webhook_not_configured":
            yield f"The deployed `{name}_webhook` has no secret, and accepts nothing."


@check("Deploy the function again, and look at its log; the function must be open to everybody (role run.invoker).")
def webhook_unreachable(project: ProjectFacts) -> Iterator[str]:
    """A webhook does not answer, so the provider cannot tell us of payments."""
    for name, answer in _answers(project):
        function = project.functions.value.get(f"{name}_webhook")
        if not answer.is_ours and function and function.state == "ACTIVE":
            yield f"`{name}_webhook` does not answer: {answer.problem or f'status {answer.status}'}."


def stripe_modes(project: ProjectFacts) -> tuple[Mode | None, Mode | None]:
    """Return the modes of Stripe's secret and publishable key; None for a key that is missing or does not tell."""
    return mode_of(project.secret("STRIPE_SECRET_KEY")), mode_of(project.values.get("STRIPE_PUBLISHABLE_KEY"))


def mode_of(key: str | None) -> Mode | None:
    """Return the mode that a key of Stripe names, also a restricted key and an organisation's; None if untold."""
    parts = (key or "").strip().split("_")
    if "live" in parts[1:3]:
        return "live"
    return "test" if "test" in parts[1:3] else None


def payment_modes(project: ProjectFacts) -> Mapping[str, Mode]:
    """Return the mode of each payment provider in use."""
    found: dict[str, Mode] = {}
    secret, _ = stripe_modes(project)
    if secret and _uses(project, STRIPE):
        found[STRIPE] = secret
    host = project.settings.value.paypal_api_base.removeprefix("https://")
    if _uses(project, PAYPAL) and host in LIVE_HOSTS | SANDBOX_HOSTS:
        found[PAYPAL] = "live" if host in LIVE_HOSTS else "test"
    return found


def webhook_address(project: ProjectFacts, provider: str) -> str:
    """Return the address of a provider's webhook: below `WEBHOOKS_URL`, or the function's own address."""
    if below := project.values.get("WEBHOOKS_URL"):
        return f"{below.rstrip('/')}/{provider}_webhook"
    return f"https://{region_of(project)}-{project.name}.cloudfunctions.net/{provider}_webhook"


def region_of(project: ProjectFacts) -> str:
    """Return the region of the functions: the setting, or the manifest's default."""
    return region_in(project.values, project.needs.params)


def region_in(values: Mapping[str, str], params: Mapping[str, str]) -> str:
    """Return the region of the functions by the plain settings and the defaults of the manifest's params."""
    return values.get("REGION") or params.get("REGION") or REGION


def registered(project: ProjectFacts) -> list[Registered]:
    """Return the endpoints that call this project."""
    return [
        Registered(name, each)
        for name, account in _accounts(project)
        for each in account.endpoints
        if each.url == webhook_address(project, name)
    ]


def _is_in_test_mode(project: ProjectFacts) -> bool:
    modes = payment_modes(project)
    _, public = stripe_modes(project)
    return bool(modes) and {*modes.values(), public or "test"} == {"test"}


def _accounts(project: ProjectFacts) -> Iterable[tuple[str, Account]]:
    if _uses(project, STRIPE):
        yield STRIPE, project.stripe.value
    if _uses(project, PAYPAL):
        yield PAYPAL, project.paypal.value


def _candidates(project: ProjectFacts, provider: str, account: Account) -> list[Endpoint]:
    """Return the endpoints that lead, or were meant to lead, to this project's webhook."""
    address = webhook_address(project, provider)
    named = project.values.get("PAYPAL_WEBHOOK_ID")
    return [
        each
        for each in account.endpoints
        if each.url == address or each.url.rstrip("/").endswith(f"/{provider}_webhook") or each.id == named
    ]


def _answers(project: ProjectFacts) -> Iterable[tuple[str, Probe]]:
    for name, _ in _accounts(project):
        yield name, project.deployment.value.webhooks[name]


def _uses(project: ProjectFacts, provider: str) -> bool:
    if provider not in project.used:
        return False
    if provider == STRIPE:
        return bool(project.secret("STRIPE_SECRET_KEY"))
    return bool(project.values.get("PAYPAL_CLIENT_ID") and project.secret("PAYPAL_CLIENT_SECRET"))


def _title(provider: str) -> str:
    return next(record.title for record in PROVIDERS.values() if record.name == provider)


def _is_public(base: str) -> bool:
    return base.startswith("https://") and not is_private(base)


CHECKS = (
    stripe_keys_of_two_modes,
    stripe_organisation_key,
    stripe_keys_of_two_accounts,
    payment_modes_differ,
    payments_cost_nothing,
    payments_in_test_mode,
    paypal_app_of_other_mode,
    paypal_address_unknown,
    stripe_address_unknown,
    payment_key_refused,
    stripe_account_incomplete,
    paypal_disputes_not_permitted,
    paypal_search_not_permitted,
    endpoint_missing,
    endpoint_elsewhere,
    endpoint_disabled,
    endpoint_with_wildcard,
    endpoint_events_missing,
    endpoint_events_surplus,
    endpoint_twice,
    paypal_webhook_id_differs,
    webhook_secret_differs,
    webhook_not_configured,
    webhook_unreachable,
)
