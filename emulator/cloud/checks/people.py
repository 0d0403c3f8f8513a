"""Checks of sign-in and of the people behind a project: e-mails, domains, App Check, administrators."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from emulator.cloud.checks.check import check
from emulator.cloud.checks.project import ProjectFacts

VERIFIED = "SUCCEEDED"
SMTP = "CUSTOM_SMTP"
CONSOLE = "https://console.firebase.google.com/project/{project}/authentication"
LAPTOP_DOMAINS = frozenset({"localhost", "127.0.0.1"})
ENFORCED = "ENFORCED"
FIRESTORE = "firestore.googleapis.com"


@check(f"Enable a way to sign in: {CONSOLE}/providers.")
def sign_in_off(project: ProjectFacts) -> Iterator[str]:
    """No way to sign in is enabled, so nobody can make an account."""
    if not project.sign_in.value.providers:
        yield "No way to sign in is enabled in Firebase Auth."


@check(f"Allow users to sign up: {CONSOLE}/settings.", severity="hint")
def sign_up_off(project: ProjectFacts) -> Iterator[str]:
    """Users cannot make accounts themselves."""
    if project.sign_in.value.is_sign_up_off:
        yield "Firebase Auth lets nobody sign up."


@check(f"Set a domain of your own as sender, and verify the domain by its DNS records: {CONSOLE}/emails.")
def sender_unverified(project: ProjectFacts) -> Iterator[str]:
    """The sender of e-mails has a domain that is not verified, so verification mails land in spam or are refused."""
    found = project.sign_in.value
    if found.sender_method == SMTP or "email" not in found.providers:
        return
    if not found.sender_domain:
        yield f"E-mails to users come from {project.name}.firebaseapp.com, not from a verified domain of your own."
    elif found.sender_state != VERIFIED:
        yield f"The sender's domain {found.sender_domain} is not verified ({found.sender_state.lower()})."
    elif not found.is_sender_used:
        yield f"The sender's domain {found.sender_domain} is verified, but e-mails still come from another."


@check(f"Correct the action URL of the e-mail templates: {CONSOLE}/emails.")
def action_address_elsewhere(project: ProjectFacts) -> Iterator[str]:
    """Links in e-mails to users lead to an address that is not authorised, or is not encrypted."""
    found = project.sign_in.value
    address = urlsplit(found.callback)
    if not found.callback or "email" not in found.providers:
        return
    if address.scheme != "https" or (address.hostname or "") not in found.domains | {f"{project.name}.firebaseapp.com"}:
        yield f"Links in e-mails to users lead to {found.callback}."


@check(f"Add the domain: {CONSOLE}/settings.")
def domain_not_authorised(project: ProjectFacts) -> Iterator[str]:
    """A web app may call the API, and nobody can sign in there: Firebase Auth does not know the app's domain."""
    for origin in project.settings.value.cors_origins if project.sign_in.value.providers else ():
        host = urlsplit(origin.replace(":*", "")).hostname or ""
        if host and "*" not in origin and origin.startswith("https://") and host not in project.sign_in.value.domains:
            yield f"{host} is in `CORS_ORIGINS`, but is no authorised domain of Firebase Auth."


@check(f"Delete the domain: {CONSOLE}/settings.")
def domain_of_a_laptop(project: ProjectFacts) -> Iterator[str]:
    """Pages of a developer's machine may sign users in, and take their tokens."""
    for domain in sorted(LAPTOP_DOMAINS & project.sign_in.value.domains):
        yield f"{domain} is an authorised domain of Firebase Auth."


@check(f"Switch e-mail enumeration protection on: {CONSOLE}/settings.")
def addresses_enumerable(project: ProjectFacts) -> Iterator[str]:
    """Strangers can ask which e-mail addresses have an account."""
    if "email" in project.sign_in.value.providers and not project.sign_in.value.hides_addresses:
        yield "Firebase Auth tells strangers which e-mail addresses have an account."


@check("Correct `IDENTITY_TENANTS`, or make the tenant in Identity Platform.")
def tenant_missing(project: ProjectFacts) -> Iterator[str]:
    """A tenant in the settings does not exist."""
    for tenant in project.settings.value.identity_tenants:
        if tenant not in project.sign_in.value.tenants:
            yield f"`IDENTITY_TENANTS` names {tenant}, which does not exist."


@check("Set `APP_CHECK=monitor`, look at the log for a week, then set `APP_CHECK=enforce`.")
def app_check_off(project: ProjectFacts) -> Iterator[str]:
    """App Check is off, so programs may call the API as if they were your app."""
    if project.settings.value.app_check == project.values.get("APP_CHECK", "off") == "off":
        yield "App Check is off: `APP_CHECK` is `off`."


@check("Set `APP_CHECK=enforce` once the log has no `app_check_failed` of your own apps.", severity="hint")
def app_check_only_watched(project: ProjectFacts) -> Iterator[str]:
    """App Check only logs calls of other programs."""
    if project.settings.value.app_check == "monitor":
        yield "App Check only logs: `APP_CHECK` is `monitor`."


@check("Enforce App Check for Cloud Firestore: https://console.firebase.google.com/project/{project}/appcheck.")
def app_check_not_for_database(project: ProjectFacts) -> Iterator[str]:
    """The API enforces App Check, and the database does not, so programs may listen as if they were your app."""
    if project.settings.value.app_check == "enforce" and project.app_check.value.get(FIRESTORE) != ENFORCED:
        yield "App Check is enforced by the API, but not for Cloud Firestore."


@check("Run `make admin EMAIL=… PROJECT={project}`, open the mail that it sends, and run it again.")
def administrator_missing(project: ProjectFacts) -> Iterator[str]:
    """Nobody is an administrator, so nobody can refund, freeze, or change a price."""
    if not project.admins.value:
        yield "No user has the role `admin`."


CHECKS = (
    sign_in_off,
    sign_up_off,
    sender_unverified,
    action_address_elsewhere,
    domain_not_authorised,
    domain_of_a_laptop,
    addresses_enumerable,
    tenant_missing,
    app_check_off,
    app_check_only_watched,
    app_check_not_for_database,
    administrator_missing,
)
