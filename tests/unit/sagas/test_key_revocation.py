"""Revoking a key: it is gone first, and nothing that fails behind that brings it back or keeps other work going."""

import pytest

from shared.kernel.documents import StoreUnavailable
from shared.users.api_keys import KeyNotFound
from tests.support.agents import ANN, AgentWorld


@pytest.fixture
def world():
    world = AgentWorld()
    world.user()
    return world


def test_a_task_that_cannot_be_stopped_keeps_no_other_going(world):
    key = world.key("chat", "images")
    tasks = [world.begin(**world.by(key)) for _ in range(3)]
    revocation = world.services.key_revocation
    run = revocation._run_agent
    failed: list[str] = []

    def once_unavailable(task_id: str) -> object:
        if not failed:
            failed.append(task_id)
            raise StoreUnavailable
        return run(task_id)

    revocation._run_agent = once_unavailable
    revocation.revoke(ANN, key.id)

    states = {task.id: world.task(task).status for task in tasks}
    assert [states.pop(task_id) for task_id in failed] == ["queued"]
    assert set(states.values()) == {"paused"}


def test_what_could_not_be_stopped_pauses_when_a_worker_takes_it_up(world):
    key = world.key("chat", "images")
    task = world.begin(**world.by(key))

    world.services.users.api_keys.revoke(ANN, key.id)

    assert world.run(task).reason == "api_key_revoked"
    assert world.spent() == 0


def test_a_key_is_revoked_once(world):
    key = world.key("chat")
    world.services.key_revocation.revoke(ANN, key.id)

    with pytest.raises(KeyNotFound):
        world.services.key_revocation.revoke(ANN, key.id)
