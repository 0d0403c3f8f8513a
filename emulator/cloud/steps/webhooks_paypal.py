"""Webhook at PayPal. PayPal signs with a certificate, so the webhook has an id and no secret."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.webhook import Webhook

if TYPE_CHECKING:
    from shared.platform.paypal.api import PayPalApi

ID = "PAYPAL_WEBHOOK_ID"
API_BASE = "https://api-m.paypal.com"
WEBHOOKS = "/v1/notifications/webhooks"


def look(project: Project, webhook: Webhook) -> Sequence[Change]:
    if not project.settings.get("PAYPAL_CLIENT_ID"):
        raise CloudProblem(
            f"PAYPAL_CLIENT_ID is missing: write the client id of the PayPal app into {project.settings.path.name}, "
            "or leave paypal out of PAYMENT_PROVIDERS."
        )
    with _calling():
        listed = _api(project, webhook.keys).call("GET", WEBHOOKS).get("webhooks") or ()
    found = next((each for each in listed if each.get("url") == webhook.url), None)
    if found is None:
        says = (
            f"register {webhook.url} at PayPal for {len(webhook.events)} event types, and write {ID} into "
            f"{project.settings.path.name}"
        )
        return [Change(says=says, do=partial(_create, project, webhook))]
    changes = []
    if {each["name"] for each in found["event_types"]} != set(webhook.events):
        says = f"let PayPal send {webhook.url} exactly the {len(webhook.events)} event types that the code handles"
        changes.append(Change(says=says, do=partial(_update, project, webhook, str(found["id"]))))
    if project.settings.get(ID) != found["id"]:
        says = f"write {ID} into {project.settings.path.name}"
        changes.append(Change(says=says, do=partial(project.settings.set, ID, str(found["id"]))))
    return changes


def look_at_old(project: Project, webhook: Webhook) -> Sequence[Change]:
    """Return no change: PayPal keeps one webhook for an address."""
    del project, webhook
    return []


def _create(project: Project, webhook: Webhook) -> None:
    with _calling():
        body = {"url": webhook.url, "event_types": [{"name": name} for name in webhook.events]}
        made = _api(project, webhook.keys).call("POST", WEBHOOKS, body)
        project.settings.set(ID, str(made["id"]))


def _update(project: Project, webhook: Webhook, known: str) -> None:
    patch = [{"op": "replace", "path": "/event_types", "value": [{"name": name} for name in webhook.events]}]
    api = _api(project, webhook.keys)
    with _calling():
        api.request(f"{api.endpoint}{WEBHOOKS}/{known}", "PATCH", json.dumps(patch).encode())


def _api(project: Project, keys: Mapping[str, str]) -> "PayPalApi":
    from shared.platform.paypal.api import PayPalApi

    return PayPalApi(
        api_base=project.address("PAYPAL_API_BASE", API_BASE),
        client_id=project.settings.get("PAYPAL_CLIENT_ID"),
        client_secret=keys["PAYPAL_CLIENT_SECRET"],
    )


@contextmanager
def _calling() -> Iterator[None]:
    """Raise CloudProblem in PayPal's words if PayPal refuses or does not answer."""
    import requests
    from paypalrestsdk import exceptions

    from shared.platform.paypal.api import issue_of

    try:
        yield
    except (exceptions.UnauthorizedAccess, exceptions.ForbiddenAccess) as error:
        raise CloudProblem(
            f"PayPal refuses PAYPAL_CLIENT_ID with PAYPAL_CLIENT_SECRET ({issue_of(error)}): correct them. "
            "Credentials of the sandbox need PAYPAL_API_BASE=https://api-m.sandbox.paypal.com."
        ) from None
    except exceptions.ConnectionError as error:
        raise CloudProblem(f"PayPal answered: {issue_of(error)}. Correct the settings, or try again.") from None
    except requests.RequestException as error:
        raise CloudProblem(f"PayPal did not answer ({type(error).__name__}): try again.") from None
