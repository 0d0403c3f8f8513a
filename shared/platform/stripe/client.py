"""Stripe's SDK, with a limit to every wait and an error of ours for each of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import stripe

from shared.kernel.errors import InvalidValue
from shared.kernel.events import log
from shared.payments.lockout import Lockout
from shared.payments.ports import ProviderRefused, ProviderUnavailable, UnknownAtProvider

T = TypeVar("T")

CONNECT_SECONDS = 4.0
READ_SECONDS = 15.0
NETWORK_RETRIES = 1
"""Repeated by the SDK itself, under the same idempotency key."""
KEY_GENERATIONS_MAX = 3
FAILURES_FROM = 500
PAGES_MAX = 100
MISSING = "resource_missing"


def connect(secret_key: str, api_base: str) -> stripe.StripeClient:
    """A client for one account. It keeps its connections alive, one for each thread."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
    )


class Reading:
    """Objects and lists as plain dictionaries: the SDK's own objects take longer to make than an answer to read."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def one(self, collection: str, thing: str, expand: Sequence[str] = ()) -> dict[str, Any]:
        """One object. Raises the SDK's errors, and ValueError for an answer about something else."""
        found = self._get(f"/v1/{collection}/{quote(thing, safe='')}", {"expand": list(expand)} if expand else {})
        if found["id"] != thing:
            raise ValueError("Stripe answered something else than it was asked")
        return found

    def every(self, collection: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All objects of a list, to the end of its pages. Raises ValueError for one without an end."""
        found: list[dict[str, Any]] = []
        after: Mapping[str, Any] = {}
        for _ in range(PAGES_MAX):
            page = self._get(f"/v1/{collection}", {**asked, **after})
            found += page["data"]
            if not page["has_more"]:
                return found
            if not page["data"]:
                raise ValueError("Stripe says that there is more after an empty page")
            after = {"starting_after": page["data"][-1]["id"]}
        raise ValueError("Stripe lists without an end")

    def _get(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.raw_request("get", path, **params).data
        return answer


@contextmanager
def calling(call: str, lockout: Lockout) -> Iterator[None]:
    """Raise what happened in our words; Stripe's own go to the log.

    A key that is not accepted is our fault, and mended by an operator: it must not fail a payment for good.
    """
    try:
        yield
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log("stripe_locked_out", "CRITICAL", call=call, status=error.http_status, request=error.request_id)
        lockout.tell(call)
        raise ProviderUnavailable("stripe") from None
    except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
        _refuse(call, error)
    except (stripe.StripeError, AttributeError, KeyError, TypeError, ValueError, InvalidValue) as error:
        # Not reached, too many requests, a key in use, a failure of theirs, or an answer that cannot be read.
        status, request = getattr(error, "http_status", None), getattr(error, "request_id", None)
        log("stripe_failed", "WARNING", call=call, kind=type(error).__name__, status=status, request=request)
        raise ProviderUnavailable("stripe") from None


def _refuse(call: str, error: stripe.StripeError) -> NoReturn:
    reason = error.code or (error.error.type if error.error is not None else None) or type(error).__name__
    log("stripe_refused", "WARNING", call=call, reason=str(reason), request=error.request_id)
    if error.code == MISSING:
        raise UnknownAtProvider("stripe") from None
    raise ProviderRefused("stripe", str(reason)) from None


def is_missing(error: stripe.InvalidRequestError, param: str) -> bool:
    """Whether what this parameter names is not there (any more)."""
    return error.code == MISSING and error.param == param


def keyed(key: str, create: Callable[[str], T], find: Callable[[], T | None] = lambda: None) -> T:
    """Create something once under this key, or `find` that it was.

    Stripe remembers what it answered a key with, its own failures too. A failure that is only repeated from memory
    would stay for a day, so the next try takes another key, once it is sure that nothing is there.
    """
    for generation in range(KEY_GENERATIONS_MAX):
        found = find()
        if found is not None:
            return found
        try:
            return create(f"{key}~{generation}" if generation else key)
        except stripe.APIError as error:
            is_last = generation == KEY_GENERATIONS_MAX - 1
            if is_last or not _is_remembered(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def _is_remembered(error: stripe.APIError) -> bool:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return (error.http_status or 0) >= FAILURES_FROM and headers.get("idempotent-replayed") == "true"


def plain(thing: Any) -> dict[str, Any]:
    """An object of the SDK's as plain dictionaries."""
    found: dict[str, Any] = thing.to_dict()
    return found
