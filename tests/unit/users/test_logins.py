"""A login is asked for once a minute; the last answer counts while nobody answers, and not for ever."""

import threading

import pytest

from shared.kernel.ids import Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.identity import MemoryIdentity
from shared.users.logins import KNOWN_SECONDS, QUESTION_SECONDS, RETRY_SECONDS, TRUSTED_SECONDS, LoginDisabled, Logins
from shared.users.ports import AuthUser, IdentityUnavailable

ANN, EVE = Uid("ann"), Uid("eve")


class Provider(MemoryIdentity):
    """An identity provider that can be held up while it answers."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.gate = threading.Event()
        self.gate.set()

    def get_user(self, uid: Uid) -> AuthUser:
        self.gate.wait(60)
        return super().get_user(uid)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.provider = Provider(self.clock)
        self.provider.sign_up("ann@example.com", uid=ANN)
        self.logins = Logins(self.provider, self.clock)

    def later(self, seconds: float) -> None:
        self.clock.advance(int(seconds * 1_000))

    @property
    def asked(self) -> int:
        return len(self.provider.looked_up)


@pytest.fixture
def world() -> World:
    return World()


def test_a_login_is_asked_for_once_a_minute(world: World):
    for _ in range(10):
        world.logins.check(ANN)
    world.later(KNOWN_SECONDS - 1)
    world.logins.check(ANN)
    assert world.asked == 1

    world.later(1)
    world.logins.check(ANN)
    assert world.asked == 2


@pytest.mark.parametrize("end", ["disabled", "deleted"])
def test_an_ended_login_is_refused_within_a_minute(world: World, end: str):
    world.logins.check(ANN)
    if end == "disabled":
        world.provider.disable(ANN)
    else:
        world.provider.delete_user(ANN)
    world.later(KNOWN_SECONDS)

    with pytest.raises(LoginDisabled):
        world.logins.check(ANN)


def test_a_login_that_is_enabled_again_is_let_in_within_a_minute(world: World):
    world.provider.disable(ANN)
    with pytest.raises(LoginDisabled):
        world.logins.check(ANN)

    world.provider.disable(ANN, is_disabled=False)
    world.later(KNOWN_SECONDS)

    world.logins.check(ANN)


def test_the_last_answer_counts_for_a_while_when_nobody_answers(world: World):
    world.logins.check(ANN)
    world.provider.is_down = True

    world.later(TRUSTED_SECONDS - 1)
    world.logins.check(ANN)
    world.later(1)
    with pytest.raises(IdentityUnavailable):
        world.logins.check(ANN)


def test_a_refusal_counts_too_when_nobody_answers(world: World):
    world.provider.disable(ANN)
    with pytest.raises(LoginDisabled):
        world.logins.check(ANN)
    world.provider.is_down = True
    world.later(KNOWN_SECONDS)

    with pytest.raises(LoginDisabled):
        world.logins.check(ANN)


def test_a_provider_out_of_reach_is_left_alone_for_a_while(world: World):
    world.provider.is_down = True
    for _ in range(10):
        with pytest.raises(IdentityUnavailable):
            world.logins.check(ANN)
    asked = world.asked

    world.provider.is_down = False
    world.later(RETRY_SECONDS)
    world.logins.check(ANN)

    assert asked == 1


def test_calls_at_once_share_one_question(world: World):
    world.provider.gate.clear()
    asking = [world.logins.ask(ANN) for _ in range(20)]
    world.provider.gate.set()

    for each in asking:
        each.confirm()

    assert world.asked == 1


def test_a_question_that_never_ends_is_asked_again(world: World):
    world.provider.gate.clear()
    world.logins.ask(ANN)
    world.later(QUESTION_SECONDS)
    world.provider.gate.set()

    world.logins.check(ANN)

    world.later(KNOWN_SECONDS)
    world.logins.check(ANN)


def test_a_login_is_asked_for_where_no_thread_is_left(world: World, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("shared.users.logins._thread.start_new_thread", refuse)

    world.logins.check(ANN)

    assert world.asked == 1


def test_a_call_waits_only_so_long_for_a_provider_that_hangs(world: World):
    world.logins.check(ANN)
    world.provider.gate.clear()
    world.later(KNOWN_SECONDS)

    asking = world.logins.ask(ANN)
    world.later(60)
    asking.confirm()

    world.provider.gate.set()


def test_a_provider_that_hangs_keeps_nobody_else_waiting(world: World):
    world.provider.gate.clear()
    asking = world.logins.ask(ANN)
    world.later(60)
    with pytest.raises(IdentityUnavailable):
        asking.confirm()

    with pytest.raises(IdentityUnavailable):
        world.logins.check(EVE)
    world.provider.gate.set()

    assert EVE not in world.provider.looked_up
