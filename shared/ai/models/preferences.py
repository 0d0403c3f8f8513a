"""Preferences of a user for requests that leave a choice open, stored beside the user's profile."""

from typing import Any, TypedDict, cast

from shared.ai.models.catalogue import AUTO
from shared.ai.models.choice import WEIGHT_MAX, Wish
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Data, Delete, Document, Documents, Put
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import ID_CHARACTERS_MAX, Uid
from shared.kernel.money import Micro

ALLOWED_MAX = 100


class PreferredModels(TypedDict, total=False):
    """Preferences of a user: a model for chat and one for pictures (None: the default), and the criteria of `auto`.

    `auto` weighs `quality`, `speed` and `price`, and chooses among `allowed_models`. If the list is empty, all models
    are allowed. `max_cost_per_message` is the most that a message may cost, in µcr; None for no limit.
    """

    chat_model: str | None
    image_model: str | None
    quality: int
    speed: int
    price: int
    allowed_models: list[str]
    max_cost_per_message: int | None


DEFAULTS = PreferredModels(
    chat_model=None, image_model=None, quality=1, speed=1, price=1, allowed_models=[], max_cost_per_message=None
)


class Preferences:
    """Repository of the documents `users/{uid}/settings/models`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def get(self, uid: Uid) -> PreferredModels:
        """Return every preference of the user. If a preference is not stored, the default applies."""
        return preferred_of(self._documents.get(preferences_path(uid)))

    def put(self, uid: Uid, preferences: PreferredModels) -> PreferredModels:
        """Replace all preferences of the user, and return the new ones. Raises InvalidValue.

        The caller checks that the models exist.
        """
        chosen = _known(cast("Data", preferences))
        _check(preferences, chosen)
        self._documents.commit([Put(preferences_path(uid), {"uid": uid, **cast("Data", chosen)})])
        return chosen

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete the preferences of a user who leaves."""
        self._documents.commit([Delete(preferences_path(uid))])
        return True


def wish_of(preferred: PreferredModels) -> Wish:
    """Return the user's criteria for `auto`."""
    cost_max = preferred["max_cost_per_message"]
    return Wish(
        quality=preferred["quality"],
        speed=preferred["speed"],
        price=preferred["price"],
        allowed=frozenset(preferred["allowed_models"]) or None,
        cost_max=None if cost_max is None else Micro(cost_max),
    )


def preferences_path(uid: Uid) -> str:
    """Return the path of the user's preferences document."""
    return f"users/{uid}/settings/models"


def preferred_of(document: Document | None) -> PreferredModels:
    """Return the preferences in a document. If an older document lacks a preference, the default applies."""
    return _known(document.data if document else {})


def _check(asked: PreferredModels, chosen: PreferredModels) -> None:
    if unknown := sorted(asked.keys() - DEFAULTS.keys()):
        raise InvalidValue(unknown[0], "is not a preference")
    for name, model in (("chat_model", chosen["chat_model"]), ("image_model", chosen["image_model"])):
        if model is not None and not _is_id(model):
            raise InvalidValue(name, "must be the id of a model, or null")
    weights = {"quality": chosen["quality"], "speed": chosen["speed"], "price": chosen["price"]}
    for name, weight in weights.items():
        if not 0 <= weight <= WEIGHT_MAX:
            raise InvalidValue(name, f"must be a weight from 0 to {WEIGHT_MAX}")
    if not any(weights.values()):
        raise InvalidValue("quality", "must be more than 0, as neither speed nor price is")
    allowed = chosen["allowed_models"]
    if len(allowed) > ALLOWED_MAX or AUTO in allowed or not all(_is_id(model) for model in allowed):
        raise InvalidValue("allowed_models", f"must be the ids of at most {ALLOWED_MAX} models")


def _is_id(model: str) -> bool:
    return 1 <= len(model) <= ID_CHARACTERS_MAX


def _known(data: Data) -> PreferredModels:
    known: Any = {name: data[name] for name in DEFAULTS if data.get(name) is not None}
    return PreferredModels(**{**DEFAULTS, **known, "allowed_models": list(known.get("allowed_models", ()))})
