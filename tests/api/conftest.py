import pytest

from tests.api.world import Person, World


@pytest.fixture
def world():
    return World()


@pytest.fixture
def alice(world) -> Person:
    return world.person(email="alice@example.com", name="Alice", credits_=10)


@pytest.fixture
def admin(world) -> Person:
    return world.person("admin")
