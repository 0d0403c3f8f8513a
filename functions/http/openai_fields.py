"""Fields of a request in OpenAI's shapes: pass them on to the provider, drop them by name, or refuse them."""

from collections.abc import Sequence
from urllib.parse import quote

from flask import Response

from functions.http.routes import Call
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.ai.openai.offered_fields import OFFERED
from shared.ai.openai.passthrough import Json
from shared.ai.openai.request_fields import NAMED_MAX, SiftedRequest

IMAGES_PATH = "/images/generations"
DROPPED = "X-Dropped-Fields"
"""The header that names fields which were taken and not sent on."""
HEADER_NAME_CHARACTERS_MAX = 120


def sifted(call: Call, path: str, body: Json | None = None) -> SiftedRequest:
    """Return the body with the fields that may be sent to the upstream, and the names of the dropped fields.

    `path` is the route's key in OFFERED. `body` is the call's own body by default. A field that is not offered is
    dropped or refused, as UPSTREAM_UNKNOWN_FIELDS says. Raises InvalidValue naming the refused fields. Fields that an
    operator has named for an upstream do not apply to images.
    """
    upstream = "" if path == IMAGES_PATH else upstream_of(call)
    return call.services.openai.request_fields.sifted(OFFERED[path], call.body if body is None else body, upstream)


def warn(response: Response, dropped: Sequence[str]) -> Response:
    """Return the response with a header that names the fields that were not sent on."""
    if dropped:
        names = [quote(name[:HEADER_NAME_CHARACTERS_MAX], safe="$@") for name in dropped[:NAMED_MAX]]
        response.headers[DROPPED] = ", ".join(names)
    return response


def upstream_of(call: Call) -> str | None:
    """Return the name of the upstream that has the model; None if the model is chosen later, or is not there."""
    try:
        return call.services.models.catalogue.get(str(call.body["model"])).upstream
    except (ModelNotFound, ModelUnpriced):
        return None
