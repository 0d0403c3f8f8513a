"""Readers of Firebase Auth and App Check: sign-in, e-mails, tenants, enforcement, administrators."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emulator.cloud.checks.project import SignIn
from emulator.cloud.google import Google
from emulator.cloud.people import OPERATOR
from emulator.cloud.problems import CloudProblem
from shared.users.roles import ADMIN, known_roles

IDENTITY = "https://identitytoolkit.googleapis.com"
APP_CHECK = "https://firebaseappcheck.googleapis.com/v1"
USERS_PER_PAGE = 1_000
USER_PAGES_MAX = 200


NOT_SET_UP = SignIn(
    providers=frozenset(),
    domains=frozenset(),
    sender_method="DEFAULT",
    sender_domain="",
    sender_state="NOT_STARTED",
    is_sender_used=False,
    callback="",
    hides_addresses=False,
    is_sign_up_off=False,
    tenants=frozenset(),
)
"""Configuration of a project in which nobody has opened Firebase Auth yet."""


class TooManyUsers(CloudProblem):
    """Error for a project with more users than the search for an administrator goes through."""

    def __init__(self) -> None:
        super().__init__(f"none of the first {USERS_PER_PAGE * USER_PAGES_MAX} users is an administrator.")


def read_sign_in(google: Google, tenants: Sequence[str]) -> SignIn:
    """Return the configuration of Firebase Auth. Tenants are read only if the settings name some."""
    found = google.find(f"{IDENTITY}/v2/projects/{google.project}/config")
    if found is None:
        return NOT_SET_UP
    sender = (found.get("notification") or {}).get("sendEmail") or {}
    domain = sender.get("dnsInfo") or {}
    return SignIn(
        providers=frozenset(_providers(google, found)),
        domains=frozenset(found.get("authorizedDomains") or ()),
        sender_method=str(sender.get("method") or "DEFAULT"),
        sender_domain=str(domain.get("customDomain") or domain.get("pendingCustomDomain") or ""),
        is_sender_used=bool(domain.get("customDomain") and domain.get("useCustomDomain")),
        sender_state=str(domain.get("customDomainState") or "NOT_STARTED"),
        callback=str(sender.get("callbackUri") or ""),
        hides_addresses=bool((found.get("emailPrivacyConfig") or {}).get("enableImprovedEmailPrivacy")),
        is_sign_up_off=bool(((found.get("client") or {}).get("permissions") or {}).get("disabledUserSignup")),
        tenants=frozenset(_tenants(google)) if tenants else frozenset(),
    )


def read_app_check(google: Google) -> Mapping[str, str]:
    """Return the enforcement of App Check by service."""
    found = google.items(f"{APP_CHECK}/projects/{google.project}/services", "services")
    return {str(each["name"]).rpartition("/")[2]: str(each.get("enforcementMode") or "OFF") for each in found}


def read_admins(google: Google, tenants: Sequence[str]) -> int:
    """Return 1 if a user is an administrator, else 0. Raises TooManyUsers if the search ends before."""
    places = ["", *(f"/tenants/{tenant}" for tenant in tenants)]
    return int(any(_is_admin(user) for place in places for user in _users(google, place)))


def _users(google: Google, place: str) -> Iterator[Mapping[str, Any]]:
    token = ""
    for _ in range(USER_PAGES_MAX):
        url = f"{IDENTITY}/v1/projects/{google.project}{place}/accounts:batchGet"
        page = google.get(url, maxResults=USERS_PER_PAGE, **({"nextPageToken": token} if token else {}))
        yield from page.get("users") or ()
        token = str(page.get("nextPageToken") or "")
        if not token:
            return
    raise TooManyUsers


def _is_admin(user: Mapping[str, Any]) -> bool:
    """Return True for an administrator. The operator of a deploy is none: that login is deleted at the deploy's end."""
    if str(user.get("localId", "")).startswith(f"{OPERATOR}-"):
        return False
    claims = json.loads(user.get("customAttributes") or "{}")
    return ADMIN in known_roles(claims.get("roles")) and not user.get("disabled")


def _providers(google: Google, config: Mapping[str, Any]) -> Iterator[str]:
    ways = config.get("signIn") or {}
    for field, name in (("email", "email"), ("phoneNumber", "phone"), ("anonymous", "anonymous")):
        if (ways.get(field) or {}).get("enabled"):
            yield name
    base = f"{IDENTITY}/v2/projects/{google.project}"
    for each in google.items(f"{base}/defaultSupportedIdpConfigs", "defaultSupportedIdpConfigs"):
        if each.get("enabled"):
            yield str(each["name"]).rpartition("/")[2]


def _tenants(google: Google) -> Iterator[str]:
    for each in google.items(f"{IDENTITY}/v2/projects/{google.project}/tenants", "tenants"):
        yield str(each["name"]).rpartition("/")[2]
