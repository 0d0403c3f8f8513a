"""Google's token endpoint, for the Firebase CLI."""

from emulator.stand_ins.google.state import State
from emulator.stand_ins.wire import Answer, Request, json_answer

LIFETIME_SECONDS = 3600


def plain(state: State, request: Request, path: str) -> Answer | None:
    """Return an access token for a refresh token. The access token is the refresh token itself."""
    del state
    if path not in {"/oauth2/v3/token", "/oauth2/v4/token"}:
        return None
    given = dict(part.split(b"=", 1) for part in request.body.split(b"&") if b"=" in part)
    token = given.get(b"refresh_token", b"stand-in").decode()
    scope = "https://www.googleapis.com/auth/cloud-platform"
    told = {"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer", "scope": scope}
    return json_answer(told)
