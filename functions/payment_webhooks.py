"""Webhooks of payment providers: verify the raw bytes, store the notice, and acknowledge only a stored notice."""

import json
import os
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from flask import Request
from werkzeug.exceptions import HTTPException

from functions.http.addresses import client_address
from functions.http.errors import TooManyRequests
from functions.http.uploads import BodyTooSlow, InstanceBusy, Uploads
from functions.serving import serve_patiently
from functions.tracing import begin_request
from shared.bootstrap import Services
from shared.bootstrap import services as production
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.payments.ports import ProviderName, WebhookRefused, Webhooks
from shared.payments.providers import PROVIDERS

BODY_BYTES_MAX = 512 * 1024
MILLIS_PER_SECOND = 1_000
THREADS_DEFAULT = "16"
STATUS_BY_ERROR = {BodyTooSlow: 408, TooManyRequests: 429, InstanceBusy: 503}
Answer = tuple[dict[str, str] | Iterator[str], int, dict[str, str]]


_uploads = Uploads(int(os.environ.get("THREADS", THREADS_DEFAULT)))


WEBHOOKS = {record.webhook: record.name for record in PROVIDERS.values()}
"""Names of the functions of this module, with the provider that each function hears from."""


def __getattr__(name: str) -> Callable[[Request], Answer]:
    """Return the function that receives the notices of a provider, such as `stripe_webhook`."""
    if name not in WEBHOOKS:
        raise AttributeError(name)
    return _webhook_of(WEBHOOKS[name])


def _webhook_of(provider: ProviderName) -> Callable[[Request], Answer]:
    def webhook(request: Request) -> Answer:
        services = production()
        return receive(provider, request, services, services.payments.webhooks[provider])

    return webhook


def receive(provider: ProviderName, request: Request, services: Services, webhooks: Webhooks) -> Answer:
    """Verify and store a notice, and return the answer.

    The status 2xx means that the notice is stored. In any doubt the provider is to deliver again.
    """
    begin_request(request.headers, services.settings.project)
    status, started = HTTPStatus.INTERNAL_SERVER_ERROR.value, time.monotonic()
    try:
        told, status, headers = _received(provider, request, services, webhooks)
    finally:
        ms = round((time.monotonic() - started) * MILLIS_PER_SECOND)
        log("request_done", route=PROVIDERS[provider].webhook, status=status, ms=ms)
    return told, status, headers


def _received(provider: ProviderName, request: Request, services: Services, webhooks: Webhooks) -> Answer:
    """Verify and store a notice, and return the answer; see `receive`."""
    if request.method != "POST":
        return _unread(request, "method_not_allowed", 405, Allow="POST")
    try:
        raw = _read(request, services)
    except HTTPException as error:  # too large, or cut off on its way
        return _unread(request, "body_not_read", error.code or 400)
    except (BodyTooSlow, TooManyRequests, InstanceBusy) as error:
        return _unread(request, error.code, STATUS_BY_ERROR[type(error)])
    try:
        notice = webhooks.verify(raw, dict(request.headers))
        services.payments.inbox.store(notice)
    except WebhookRefused as error:
        log("webhook_refused", "WARNING", provider=provider, reason=error.params["reason"])
        return {"code": error.code, "reason": str(error.params["reason"])}, 400, {}
    except DomainError as error:
        log("webhook_not_stored", "ERROR", provider=provider, code=error.code)
        return _answer(error.code, 503)
    return _answer("stored", 200)


def _read(request: Request, services: Services) -> bytes:
    """Return the body. Raises the errors of `Uploads.receive`.

    Providers call the function's own address, also if something stands in front of the API.
    """
    source = "direct" if services.settings.client_address_from == "direct" else "function"
    return _uploads.receive(request, BODY_BYTES_MAX, client_address(request, source))


def _unread(request: Request, code: str, status: int, **headers: str) -> Answer:
    """Answer a request whose body was not read. Most of the body is read first, since proxies fail otherwise.

    The answer is a stream. Before any other answer, the framework would wait for the rest of the body, without a limit.
    """
    if not _uploads.drain(request):
        headers["Connection"] = "close"
    told = {"code": code}
    return iter([json.dumps(told)]), status, {"Content-Type": "application/json", **headers}


def _answer(code: str, status: int, **headers: str) -> Answer:
    return {"code": code}, status, headers


if os.environ.get("FUNCTION_TARGET") in WEBHOOKS:
    serve_patiently()
