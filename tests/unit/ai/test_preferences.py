import pytest

from shared.ai.models.choice import Wish
from shared.ai.models.preferences import Preferences, wish_of
from shared.kernel.documents import Put
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.platform.memory.documents import MemoryDocuments

ANN = Uid("ann")
NONE: dict[str, object] = {
    "chat_model": None,
    "image_model": None,
    "quality": 1,
    "speed": 1,
    "price": 1,
    "allowed_models": [],
    "max_cost_per_message": None,
}


@pytest.fixture
def preferences():
    return Preferences(MemoryDocuments())


def test_there_are_none_at_first(preferences):
    assert preferences.get(ANN) == NONE


def test_they_are_replaced_as_a_whole(preferences):
    preferences.put(ANN, {"chat_model": "a", "image_model": "b"})

    assert preferences.put(ANN, {"chat_model": "c"}) == preferences.get(ANN) == {**NONE, "chat_model": "c"}


def test_they_are_the_users_own(preferences):
    preferences.put(ANN, {"chat_model": "a"})

    assert preferences.get(Uid("bob")) == NONE


def test_what_was_stored_before_there_was_more_to_prefer_is_understood(preferences):
    preferences._documents.commit([Put("users/ann/settings/models", {"uid": "ann", "v": 1, "chat_model": "a"})])

    assert preferences.get(ANN) == {**NONE, "chat_model": "a"}


def test_they_are_what_auto_goes_by(preferences):
    preferences.put(ANN, {"quality": 0, "price": 9, "allowed_models": ["b", "a"], "max_cost_per_message": 5})

    wanted = Wish(quality=0, speed=1, price=9, allowed=frozenset({"a", "b"}), cost_max=Micro(5))
    assert wish_of(preferences.get(ANN)) == wanted
    assert wish_of(preferences.get(Uid("bob"))) == Wish()


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"chat_model": ""},
        {"chat_model": "x" * 129},
        {"quality": 11},
        {"speed": -1},
        {"quality": 0, "speed": 0, "price": 0},
        {"allowed_models": ["auto"]},
        {"allowed_models": [""]},
        {"allowed_models": ["m"] * 101},
    ],
)
def test_anything_else_is_refused(preferences, wrong):
    with pytest.raises(InvalidValue):
        preferences.put(ANN, wrong)


def test_they_can_be_erased(preferences):
    preferences.put(ANN, {"chat_model": "a"})

    preferences.erase(ANN)

    assert preferences.get(ANN) == NONE
