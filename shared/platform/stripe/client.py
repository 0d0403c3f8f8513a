"""Client of Stripe's SDK: every wait has a limit, and every SDK error becomes an error of our port."""

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
"""Number of retries by the SDK itself, under the same idempotency key."""
KEY_GENERATIONS_MAX = 3
FAILURES_FROM = 500
PAGES_MAX = 100
MISSING = "resource_missing"


def connect(secret_key: str, api_base: str) -> stripe.StripeClient:
    """Build a client for one account, with a lasting connection for each thread."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
    )


class StripeReader:
    """Reader of objects and lists as plain dictionaries.

    Building the SDK's own objects takes longer than parsing an answer.
    """

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    def one(self, collection: str, thing: str, expand: Sequence[str] = ()) -> dict[str, Any]:
        """Return the object with this id.

        Raises the SDK's errors, and ValueError if Stripe answers with another object.
        """
        found = self._get(f"/v1/{collection}/{quote(thing, safe='')}", {"expand": list(expand)} if expand else {})
        if found["id"] != thing:
            raise ValueError("Stripe answered something else than it was asked")
        return found

    def every(self, collection: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all objects of a list, from all its pages.

        Raises the SDK's errors, and ValueError for an endless list.
        """
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

    def page(self, collection: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return one page of a list. Raises the SDK's errors."""
        return self._get(f"/v1/{collection}", asked)

    def _get(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.raw_request("get", path, **params).data
        return answer


@contextmanager
def calling(call: str, lockout: Lockout) -> Iterator[None]:
    """Log Stripe's errors, and raise them as errors of our port.

    Raises ProviderUnavailable, ProviderRefused and UnknownAtProvider. If Stripe refuses our key, an operator must
    correct the key: ProviderUnavailable is raised, so that no payment fails for good.
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
    """Return True if the object that this parameter names does not exist (any more)."""
    return error.code == MISSING and error.param == param


def keyed(key: str, create: Callable[[str], T], find: Callable[[], T | None] = lambda: None) -> T:
    """Return the object that `find` returns, else `create` the object once under this key.

    Stripe repeats the first answer to a key, also an answer about Stripe's own failure. Such a repeated failure would
    last for a day. So the next try uses another key, after `find` has returned None again.
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
    """Return an SDK object as plain dictionaries."""
    found: dict[str, Any] = thing.to_dict()
    return found
