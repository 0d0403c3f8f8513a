"""`/v1`: the name, the version and the links of this API."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer
from functions.http.routes import ANYBODY, Call, Routes

NAME = "Integrated Credit System API"
VERSION = "1.0.0"

routes = Routes("root")


class Links(Answer):
    """Paths under the address of this API."""

    openapi = fields.String(required=True)
    swagger = fields.String(required=True)
    playground = fields.String(required=True)
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
        "swagger": "/v1/docs/swagger",
        "playground": "/v1/docs/playground",
        "health": "/v1/monitoring/health",
    }
    return {"name": NAME, "version": VERSION, "links": links}
