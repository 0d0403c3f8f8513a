"""Product behind a project of the stand-in: the answers of functions, the users, and the documents."""

from collections.abc import Mapping
from typing import Any, Protocol

from emulator.stand_ins.wire import Answer, Json, Request


class Backend(Protocol):
    """Running product of one project. Without a backend, functions answer 404 and the database is empty."""

    def answer(self, function: str, request: Request) -> Answer:
        """Answer a request for a function. The path of the request begins below the function's name."""
        ...

    def sign_in(self, user: Json) -> str:
        """Return an ID token for this user, `{"localId", "email", "claims"}`, as the functions accept it."""
        ...

    def app_token(self) -> str:
        """Return an App Check token, as the functions accept it."""
        ...

    def forget(self, uid: str) -> None:
        """Take note that the user's login was deleted."""
        ...

    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the documents of a collection by id, with the values that the library stores."""
        ...
