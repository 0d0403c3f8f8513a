import pytest

from shared.ai.preferences import Preferences
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.platform.memory.documents import MemoryDocuments

ANN = Uid("ann")
NONE = {"chat_model": None, "image_model": None}


@pytest.fixture
def preferences():
    return Preferences(MemoryDocuments())


def test_there_are_none_at_first(preferences):
    assert preferences.get(ANN) == NONE


def test_they_are_replaced_as_a_whole(preferences):
    preferences.put(ANN, {"chat_model": "a", "image_model": "b"})

    assert preferences.put(ANN, {"chat_model": "c"}) == preferences.get(ANN) == {"chat_model": "c", "image_model": None}


def test_they_are_the_users_own(preferences):
    preferences.put(ANN, {"chat_model": "a"})

    assert preferences.get(Uid("bob")) == NONE


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"chat_model": ""}, {"chat_model": "x" * 129}])
def test_anything_else_is_refused(preferences, wrong):
    with pytest.raises(InvalidValue):
        preferences.put(ANN, wrong)


def test_they_can_be_erased(preferences):
    preferences.put(ANN, {"chat_model": "a"})

    preferences.erase(ANN)

    assert preferences.get(ANN) == NONE
