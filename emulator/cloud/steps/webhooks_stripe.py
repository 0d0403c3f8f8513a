"""Webhook endpoint at Stripe, which tells an endpoint's signing secret once, when the endpoint is made.

An endpoint that we made carries the fingerprint of its secret in its metadata. So a deploy knows whether the secret in
Secret Manager is the endpoint's, although Stripe never shows the secret again.
"""

import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.webhook import Webhook

SECRET = "STRIPE_WEBHOOK_SECRET"
API_BASE = "https://api.stripe.com"
MADE_BY = "make deploy"
FINGERPRINT = "secret_fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoints:
    """Endpoints at our address: the one whose secret is stored, and the others. `current` is None without such."""

    current: Mapping[str, Any] | None
    others: Sequence[Mapping[str, Any]]


def look(project: Project, webhook: Webhook) -> Sequence[Change]:
    with _calling():
        found = _endpoints(project, webhook)
    if found.current is None:
        because = "; the secret of the endpoint that exists is lost" if found.others else ""
        says = f"register {webhook.url} at Stripe for {len(webhook.events)} event types, and store {SECRET}{because}"
        return [Change(says=says, do=partial(_create, project, webhook))]
    if set(found.current["enabled_events"]) != set(webhook.events) or found.current["status"] != "enabled":
        says = f"let Stripe send {webhook.url} exactly the {len(webhook.events)} event types that the code handles"
        return [Change(says=says, do=partial(_update, project, webhook, str(found.current["id"])))]
    return []


def look_at_old(project: Project, webhook: Webhook) -> Sequence[Change]:
    with _calling():
        found = _endpoints(project, webhook)
    return [
        Change(
            says=f"delete the endpoint {each['id']} at Stripe, once our function accepts the secret of the new one",
            do=partial(_replace, project, webhook, str(each["id"])),
        )
        for each in found.others
    ]


def _endpoints(project: Project, webhook: Webhook) -> _Endpoints:
    from shared.platform.stripe.client import StripeReader

    listed = StripeReader(_client(project, webhook.keys)).every("webhook_endpoints", {"limit": 100})
    at_url = [each for each in listed if each["url"] == webhook.url]
    stored = {fingerprint(each) for each in (project.secrets.read(SECRET) or "").split(",") if each.strip()}
    marked = [each for each in at_url if each["metadata"].get(FINGERPRINT) in stored]
    by_hand = [each for each in at_url if each["metadata"].get("made_by") != MADE_BY] if stored else []
    current = next(iter([*marked, *by_hand]), None)
    return _Endpoints(current=current, others=[each for each in at_url if each is not current])


def fingerprint(secret: str) -> str:
    """Return a name for a secret that does not reveal the secret."""
    return hashlib.sha256(secret.strip().encode()).hexdigest()[:32]


def _create(project: Project, webhook: Webhook) -> None:
    """Make an endpoint, store its secret, and then mark the endpoint with the secret's fingerprint.

    If this ends before the mark, the next deploy makes another endpoint and deletes this one.
    """
    import stripe

    with _calling():
        given: Any = {
            "url": webhook.url,
            "enabled_events": list(webhook.events),
            "api_version": stripe.api_version,
            "description": f"{project.id}, by {MADE_BY}",
            "metadata": {"made_by": MADE_BY},
        }
        endpoints = _client(project, webhook.keys).v1.webhook_endpoints
        made = endpoints.create(given)
        if not made.secret:
            raise CloudProblem("Stripe did not tell the secret of the new endpoint: run the command again.")
        project.secrets.add(SECRET, made.secret)
        endpoints.update(made.id, {"metadata": {FINGERPRINT: fingerprint(made.secret)}})


def _update(project: Project, webhook: Webhook, endpoint: str) -> None:
    wanted: Any = {"enabled_events": list(webhook.events), "disabled": False}
    with _calling():
        _client(project, webhook.keys).v1.webhook_endpoints.update(endpoint, wanted)


def _replace(project: Project, webhook: Webhook, old: str) -> None:
    """Delete an old endpoint if our function accepts notices that are signed with the new secret."""
    _prove(project, webhook.url)
    with _calling():
        _client(project, webhook.keys).v1.webhook_endpoints.delete(old)


def _prove(project: Project, url: str) -> None:
    """Send our own function a signed body that is no event. Raises CloudProblem if the signature is not accepted."""
    secret = (project.secrets.read(SECRET) or "").split(",")[0].strip()
    now, body = int(time.time()), b"{}"
    signature = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    answer = project.web.post(url, body, {"Stripe-Signature": f"t={now},v1={signature}"})
    if answer.get("reason") != "not_an_event":
        raise CloudProblem(
            f"{url} does not accept the new {SECRET} ({answer.get('reason') or 'no answer'}): the old endpoint stays. "
            "Look at the log of stripe_webhook, and run the command again."
        )


def _client(project: Project, keys: Mapping[str, str]) -> Any:
    from shared.platform.stripe.client import connect

    return connect(keys["STRIPE_SECRET_KEY"], project.address("STRIPE_API_BASE", API_BASE))


@contextmanager
def _calling() -> Iterator[None]:
    """Raise CloudProblem in Stripe's words if Stripe refuses or does not answer."""
    import stripe

    try:
        yield
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        told = error.user_message or "no reason"
        raise CloudProblem(
            f"Stripe refuses STRIPE_SECRET_KEY ({told}): add a version with the right key to the secret. "
            "A restricted key needs the permission to write webhook endpoints."
        ) from None
    except stripe.StripeError as error:
        raise CloudProblem(f"Stripe answered: {error.user_message or type(error).__name__}. Try again.") from None
