"""What a user prefers when a request does not say: stored beside their profile."""

from collections.abc import Mapping

from shared.kernel.documents import Data, Delete, Documents, Put
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid

FIELDS = ("chat_model", "image_model")
MODEL_ID_CHARACTERS_MAX = 128


class Preferences:
    """`users/{uid}/settings/models`: the model to chat with, and the model to paint with; either may be unset."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def get(self, uid: Uid) -> dict[str, str | None]:
        """Every preference; None where there is none."""
        document = self._documents.get(_path(uid))
        return _known(document.data if document else {})

    def put(self, uid: Uid, preferences: Mapping[str, str | None]) -> dict[str, str | None]:
        """Replace them all. Whether such models exist is the caller's to ask. Raises InvalidValue."""
        for name, value in preferences.items():
            if name not in FIELDS:
                raise InvalidValue(name, "is not a preference")
            if value is not None and not 1 <= len(value) <= MODEL_ID_CHARACTERS_MAX:
                raise InvalidValue(name, "must be the id of a model, or null")
        chosen = {name: preferences.get(name) for name in FIELDS}
        self._documents.commit([Put(_path(uid), {"uid": uid, "v": 1, **chosen})])
        return chosen

    def erase(self, uid: Uid) -> None:
        """Forget them: the user leaves."""
        self._documents.commit([Delete(_path(uid))])


def _path(uid: Uid) -> str:
    return f"users/{uid}/settings/models"


def _known(data: Data) -> dict[str, str | None]:
    values = {name: data.get(name) for name in FIELDS}
    return {name: value if isinstance(value, str) else None for name, value in values.items()}
