"""`/v1/monitoring/metrics`: numbers of this instance and of documents, for a scraper."""

import hmac

from flask import Response, request

from functions.http import auth
from functions.http.errors import ScopeMissing
from functions.http.exposition import OPENMETRICS, PLAIN, metrics_text
from functions.http.routes import ANYBODY, READ_USERS, Call, Routes
from shared.bootstrap import Services
from shared.kernel.errors import Forbidden
from shared.kernel.measured import METERS
from shared.users import roles
from shared.users.ports import Unauthenticated

CALLS_PER_MINUTE = 60
"""Most calls from one address on an instance, so that nobody can try many tokens."""

routes = Routes("monitoring")


@routes.get(
    "/monitoring/metrics",
    access=ANYBODY,
    answer="text/plain",
    errors=(Unauthenticated, Forbidden),
    calls_per_minute=CALLS_PER_MINUTE,
)
def metrics(call: Call) -> Response:
    """Show the numbers of this instance in the form of Prometheus, or of OpenMetrics if `Accept` names that.

    For a token of an operator or the token of scrapers, `METRICS_TOKEN`. Counters are those of the instance that
    answers; gauges that documents tell are up to 15 seconds old.
    """
    _require_reader(call.services)
    is_openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
    text = metrics_text((*METERS, *call.services.stored_gauges.meters()), is_openmetrics=is_openmetrics)
    return Response(text, content_type=OPENMETRICS if is_openmetrics else PLAIN)


def _require_reader(services: Services) -> None:
    """Raise Unauthenticated or Forbidden unless the caller is a scraper or an operator."""
    settings, shown = services.settings, auth.credential(request)
    if settings.metrics_access == "token" and _is_same(shown, f"Bearer {settings.metrics_token}"):
        return
    principal = auth.authenticate(services, request, READ_USERS)
    if principal.key is not None:
        raise ScopeMissing(())
    roles.require(principal, roles.READ_USERS)


def _is_same(shown: str, token: str) -> bool:
    """Compare in a time that does not tell how much of the token is right."""
    return hmac.compare_digest(shown.encode(), token.encode())
