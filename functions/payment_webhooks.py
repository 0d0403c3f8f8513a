"""Providers' webhooks: verify the raw bytes, remember what they announce, acknowledge only what is remembered."""

from flask import Request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from shared.bootstrap import Services
from shared.bootstrap import services as production
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.payments.ports import WebhookRefused, Webhooks

BODY_BYTES_MAX = 512 * 1024
PIECE_BYTES = 64 * 1024
Answer = tuple[dict[str, str], int, dict[str, str]]


def stripe_webhook(request: Request) -> Answer:
    """An event of Stripe's."""
    services = production()
    return receive("stripe", request, services, services.stripe_webhooks)


def paypal_webhook(request: Request) -> Answer:
    """An event of PayPal's."""
    services = production()
    return receive("paypal", request, services, services.paypal_webhooks)


def receive(provider: str, request: Request, services: Services, webhooks: Webhooks) -> Answer:
    """2xx says that the event is stored, and nothing else is said with it; whatever is in doubt is to come again."""
    if request.method != "POST":
        return _answer("method_not_allowed", 405, Allow="POST")
    try:
        raw = _read(request)
    except HTTPException as error:  # too large, or cut off on its way
        return _answer("body_not_read", error.code or 400)
    try:
        notice = webhooks.verify(raw, dict(request.headers))
        services.inbox.store(notice)
    except WebhookRefused as error:
        log("webhook_refused", "WARNING", provider=provider, reason=error.params["reason"])
        return _answer(error.code, 400)
    except DomainError as error:
        log("webhook_not_stored", "ERROR", provider=provider, code=error.code)
        return _answer(error.code, 503)
    return _answer("stored", 200)


def _read(request: Request) -> bytes:
    """Return the body. Reads a larger one to its end, keeping BODY_BYTES_MAX: an answer sent earlier would be lost.

    Raises RequestEntityTooLarge.
    """
    pieces, size = list[bytes](), 0
    while piece := request.stream.read(PIECE_BYTES):
        size += len(piece)
        if size <= BODY_BYTES_MAX:
            pieces.append(piece)
    if size > BODY_BYTES_MAX:
        raise RequestEntityTooLarge
    return b"".join(pieces)


def _answer(code: str, status: int, **headers: str) -> Answer:
    return {"code": code}, status, headers
