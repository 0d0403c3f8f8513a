"""Turning of a failed look into a fact that says why, and plain HTTP to addresses that are not Google's APIs."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

from emulator.cloud.checks.check import CouldNotLook, Fact, known
from emulator.cloud.problems import CloudProblem, GoogleRefused

T = TypeVar("T")

TIMEOUT_SECONDS = 20.0
AGAIN = "Check the address in the settings and the network, and run the doctor again."
FORBIDDEN = 403
OWN_ADDRESSES = {"STRIPE_API_BASE": "https://api.stripe.com", "PAYPAL_API_BASE": "https://api-m.paypal.com"}
LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, LookupError)
"""Errors of an answer that has another shape than Google or a provider documents."""


def look(subject: str, read: Callable[[], T], *explained_by: str) -> Fact[T]:
    """Return the result of `read` as a fact, or the reason of the failure. `subject` is a noun such as `the topics`.

    `explained_by` are checks whose finding explains a failure. A failure of a fact that `read` uses is that fact's.
    """
    try:
        return known(subject, read())
    except CouldNotLook as error:
        return Fact(error.subject, (), error.reason, error.remedy, error.explained_by)
    except GoogleRefused as error:
        return Fact(subject, (), str(error), _remedy(error), (*explained_by, *_causes(error)))
    except CloudProblem as error:
        return Fact(subject, (), str(error), AGAIN, explained_by)
    except (requests.RequestException, *UNREADABLE) as error:
        return Fact(subject, (), _reason(error), AGAIN, explained_by)


def _reason(error: Exception) -> str:
    """Return the reason of a failure that is no refusal by Google."""
    if isinstance(error, requests.RequestException) and not isinstance(error, requests.exceptions.JSONDecodeError):
        status = None if error.response is None else error.response.status_code
        return f"nothing answered ({type(error).__name__})." if status is None else f"the answer was {status}."
    return f"the answer has another form than expected ({type(error).__name__})."


class Http:
    """Plain HTTP. `lead` may lead an address elsewhere, as to a stand-in on this machine; then no proxy is used."""

    def __init__(self, lead: Callable[[str], str] = lambda url: url, *, is_direct: bool = False) -> None:
        self._lead = lead
        self._session = requests.Session()
        self._session.trust_env = not is_direct

    def ask(self, method: str, url: str, **options: Any) -> requests.Response:
        """Return the answer. No redirect is followed, so that no other host gets a key. Raises RequestException."""
        return self._session.request(method, self._lead(url), timeout=TIMEOUT_SECONDS, allow_redirects=False, **options)

    def close(self) -> None:
        self._session.close()


def http_of(environment: Mapping[str, str] = os.environ) -> Http:
    """Return plain HTTP. If GOOGLE_APIS names a stand-in, all addresses but those of this machine lead there.

    The addresses of payment providers in the environment win, as in a deployment.
    """
    base = (environment.get("GOOGLE_APIS") or "").rstrip("/")
    others = {own: environment[name].rstrip("/") for name, own in OWN_ADDRESSES.items() if environment.get(name)}

    def lead(url: str) -> str:
        for own, other in others.items():
            if url.startswith(f"{own}/"):
                return f"{other}{url.removeprefix(own)}"
        return f"{base}/{url.partition('://')[2]}" if base and not url.startswith(LOOPBACK) else url

    return Http(lead, is_direct=bool(base))


def _causes(error: GoogleRefused) -> tuple[str, ...]:
    if error.is_api_off:
        return ("api_off",)
    return ("billing_off",) if "BILLING" in error.reason.upper() or "billing" in error.message.lower() else ()


def _remedy(error: GoogleRefused) -> str:
    if error.is_api_off:
        return "Enable the API that the answer names, and run the doctor again."
    if error.status == FORBIDDEN:
        return "Sign in as an owner of the project (gcloud auth application-default login), and run the doctor again."
    return "Correct what the answer says, and run the doctor again."
