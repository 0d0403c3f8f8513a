"""`/v1`: the name, the version and the links of this API."""

from typing import Any

from marshmallow import fields

from functions.http.docs import PLAYGROUND, SWAGGER, has_pages
from functions.http.fields import Answer
from functions.http.routes import ANYBODY, Call, Routes

NAME = "Integrated Credit System API"
VERSION = "1.0.0"

routes = Routes("root")


class Links(Answer):
    """Paths under the address of this API; null for a page that is not deployed."""

    openapi = fields.String(required=True)
    swagger = fields.String(required=True, allow_none=True)
    playground = fields.String(required=True, allow_none=True)
    health = fields.String(required=True)


class Root(Answer):
    """Name, version and links of the API."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    links = fields.Nested(Links, required=True)


@routes.get("", access=ANYBODY, answer=Root)
def index(call: Call) -> Any:
    """Show the name, the version and the links of this API."""
    del call
    links = {
        "openapi": "/v1/docs/openapi.json",
        "swagger": f"/v1{SWAGGER}" if has_pages() else None,
        "playground": f"/v1{PLAYGROUND}" if has_pages() else None,
        "health": "/v1/monitoring/health",
    }
    return {"name": NAME, "version": VERSION, "links": links}
