"""Fixtures of agents that pay."""

import pytest

from tests.api.world import World
from tests.api.x402.world import CAP, ENV, rich


@pytest.fixture
def world() -> World:
    return rich(World(ENV))


@pytest.fixture
def agent(world):
    return world.person().key("chat", "top_up", spend_cap=CAP)
