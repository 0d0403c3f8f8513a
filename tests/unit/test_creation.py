"""Creation under a permanent name, for each answer that a store may give."""

import pytest

from shared.kernel.creation import UNCLEAR, create_or_find
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.errors import IdempotencyMismatch, InvalidValue


class Scene:
    """Creations that fail with these errors in turn, and what is found after each of them."""

    def __init__(self, *errors, found=None):
        self.errors, self.found = list(errors), found
        self.creations = self.pauses = 0

    def create(self):
        self.creations += 1
        if self.errors:
            raise self.errors.pop(0)
        return "created"

    def find(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def pause(self):
        self.pauses += 1

    def run(self, **more):
        return create_or_find(self.create, self.find, pause=self.pause, attempts_max=3, **more)


def test_a_creation_that_succeeds_looks_for_nothing():
    scene = Scene(found=AssertionError("nobody looks"))

    assert (scene.run(), scene.creations, scene.pauses) == ("created", 1, 0)


@pytest.mark.parametrize("error", UNCLEAR)
def test_an_unclear_creation_is_found_if_it_was_applied(error):
    scene = Scene(error(), found="found")

    assert (scene.run(), scene.creations, scene.pauses) == ("found", 1, 0)


@pytest.mark.parametrize("error", UNCLEAR)
def test_an_unclear_creation_is_repeated_if_nothing_is_found(error):
    scene = Scene(error(), error())

    assert (scene.run(), scene.creations, scene.pauses) == ("created", 3, 2)


def test_the_last_error_is_raised_if_no_attempt_succeeds():
    scene = Scene(PreconditionFailed(), PreconditionFailed(), OutcomeUnknown())

    with pytest.raises(OutcomeUnknown):
        scene.run()

    assert (scene.creations, scene.pauses) == (3, 2)


def test_a_value_of_another_request_is_refused():
    scene = Scene(PreconditionFailed(), found=IdempotencyMismatch())

    with pytest.raises(IdempotencyMismatch):
        scene.run()


@pytest.mark.parametrize(("found", "creations"), [("found", 1), (None, 1)])
def test_a_final_error_is_not_retried_but_the_value_is_looked_for(found, creations):
    scene = Scene(InvalidValue("name", "is full"), found=found)

    try:
        assert scene.run(final=(InvalidValue,)) == found
    except InvalidValue:
        assert found is None

    assert scene.creations == creations


def test_another_error_is_raised_at_once():
    with pytest.raises(InvalidValue):
        Scene(InvalidValue("name", "is full"), found="found").run()
