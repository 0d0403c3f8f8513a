"""Readers of the accounts at the payment providers: whether our keys are good, and which endpoints call whom."""

from collections.abc import Mapping
from typing import Any

import requests

from emulator.cloud.checks.check import CouldNotLook
from emulator.cloud.checks.project import Account, Endpoint
from emulator.cloud.readings.reading import Http
from shared.kernel.settings import Settings
from shared.platform.paypal.addresses import is_live_address

REFUSED = frozenset({401})
FORBIDDEN = 403
OK = 200
PAGE = 100
PAGES_MAX = 20
PAYPAL_BASES = {True: "https://api-m.paypal.com", False: "https://api-m.sandbox.paypal.com"}


def read_stripe(http: Http, settings: Settings) -> Account:
    """Return the account that our secret key opens; an empty account without a key."""
    if not settings.stripe_secret_key:
        return Account()
    base, headers = settings.stripe_api_base, {"Authorization": f"Bearer {settings.stripe_secret_key.strip()}"}
    answer = http.ask("GET", f"{base}/v1/account", headers=headers)
    if answer.status_code in REFUSED:
        return Account(refusal=_message(answer.json()))
    # A restricted key may not read the account; its endpoints are then still read.
    account = answer.json() if answer.status_code == OK else {}
    return Account(
        id=str(account.get("id") or ""),
        is_accepting=bool(account.get("charges_enabled", True)),
        endpoints=tuple(_stripe_endpoints(http, base, headers)),
    )


def read_paypal(http: Http, settings: Settings) -> Account:
    """Return the account that our app opens; an empty account without an app.

    If PayPal refuses the app, the other mode is asked, too.
    """
    if not (settings.paypal_client_id and settings.paypal_client_secret):
        return Account()
    base = settings.paypal_api_base
    token = _paypal_token(http, base, settings)
    if "access_token" not in token:
        other = PAYPAL_BASES[not is_live_address(base)]
        is_other = _is_known(http, other, settings)
        return Account(refusal=str(token.get("error_description") or token.get("error")), is_other_mode=is_other)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    answer = http.ask("GET", f"{base}/v1/notifications/webhooks", headers=headers)
    answer.raise_for_status()
    return Account(
        scopes=frozenset(str(token.get("scope") or "").split()),
        endpoints=tuple(
            Endpoint(
                id=str(each["id"]),
                url=str(each["url"]),
                events=tuple(str(kind["name"]) for kind in each["event_types"]),
            )
            for each in answer.json()["webhooks"]
        ),
    )


def _stripe_endpoints(http: Http, base: str, headers: Mapping[str, str]) -> list[Endpoint]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        answer = http.ask("GET", f"{base}/v1/webhook_endpoints", headers=headers, params={"limit": str(PAGE), **after})
        if answer.status_code == FORBIDDEN:
            raise CouldNotLook(
                "the webhook endpoints at Stripe",
                "the restricted key may not read them.",
                "Give the key the permission to read webhook endpoints, or look in Stripe's dashboard.",
                (),
            )
        answer.raise_for_status()
        page = answer.json()
        found += page["data"]
        if not page.get("has_more") or not page["data"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}
    return [
        Endpoint(
            id=str(each["id"]),
            url=str(each["url"]),
            events=tuple(map(str, each["enabled_events"])),
            is_enabled=each.get("status") == "enabled",
        )
        for each in found
    ]


def _is_known(http: Http, base: str, settings: Settings) -> bool:
    """Return True if PayPal knows our app in this mode. A mode that does not answer knows nobody."""
    try:
        return "access_token" in _paypal_token(http, base, settings)
    except requests.RequestException:
        return False


def _paypal_token(http: Http, base: str, settings: Settings) -> Mapping[str, Any]:
    answer = http.ask(
        "POST",
        f"{base}/v1/oauth2/token",
        auth=(settings.paypal_client_id.strip(), settings.paypal_client_secret.strip()),
        data={"grant_type": "client_credentials"},
    )
    told: Mapping[str, Any] = answer.json()
    if answer.status_code != OK and "error" not in told:
        answer.raise_for_status()
    return told


def _message(told: Mapping[str, Any]) -> str:
    return str((told.get("error") or {}).get("message") or "the key is not valid")
