"""Check that a call is paid once if its caller repeats the key while the first process stands still.

Method: the caller ends the call, the process is paused, and another instance gets the request with the same key.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.upstream import Upstream
from shared.kernel.ids import new_id, operation_id
from shared.ledger.commands import Freeze, Unfreeze
from tests.support.billed_callers import Instance, Listening, Payer, Profile, Stage, until
from tests.support.model_calls import WORDS, Asking, Kind, asking, dying, reading

PAUSE_MS = 40_000
"""Longer than a claim on a turn lives."""
TURN_MS = 501_000
CHUNKS = len(WORDS.split())
PLAIN = Kind(model="gpt-4o-mini", text="How are you?")
HIDDEN = Kind(model="o4-mini", text="Prove it.", is_hidden=True)
LIMITS = ("no limit", "limit", "capped key", "conversation")
EVERY = list(itertools.product((PLAIN, HIDDEN), LIMITS))
both_profiles = pytest.mark.parametrize("profile", ["laptop", "openai"])
every = pytest.mark.parametrize(("kind", "limit"), EVERY, ids=[f"{kind.model}-{limit}" for kind, limit in EVERY])


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[Profile, Stage]]:
    with (
        Upstream() as goes_on,
        Upstream(ends=True) as ends,
        Stage(goes_on) as laptop,
        Stage(ends, profile="openai") as openai,
    ):
        yield {"laptop": laptop, "openai": openai}


@pytest.fixture(scope="module")
def others(stages: dict[Profile, Stage]) -> dict[Profile, Instance]:
    """A second instance of each backend."""
    return {profile: stage.instance() for profile, stage in stages.items()}


def check(call: Asking) -> None:
    """What was paid is what all calls of the model come to, or the bound of one whose report came too late."""
    paid = call.payer.settled()
    owed = call.stage.owed(call.marker)
    assert paid.absorbed == 0
    assert min(owed, paid.held) <= paid.charged <= paid.held


def freeze(payer: Payer, command: Any) -> None:
    operation = operation_id("test", new_id("freeze"))
    payer.stage.first.services.credits.ledger.execute(payer.uid, command(operation=operation))


def end(how: str, call: Asking, listening: Listening) -> None:
    """End the call in this way while its provider waits."""
    if how == "stopped":
        with reading(listening):
            call.stop()
    elif how == "timed out":
        call.stage.clock.advance(TURN_MS)
        call.stage.upstream.go(call.marker, 1)
        listening.drain()
    else:
        listening.leave()


@both_profiles
@every
@pytest.mark.parametrize("how", ["left", "stopped", "timed out"])
def test_a_call_asked_again_elsewhere_after_a_pause_is_paid_once(stages, others, profile, kind, limit, how):
    call = asking(stages[profile], kind, limit)
    end(how, call, call.ask(2, key="again", pause_at=[2, 3]))

    stages[profile].clock.advance(PAUSE_MS)
    call.ask(CHUNKS, others[profile], key="again").drain()
    call.go()

    check(call)


@both_profiles
@every
def test_a_call_asked_again_after_its_report_is_the_same_call(stages, others, profile, kind, limit):
    call = asking(stages[profile], kind, limit)
    call.ask(2, key="again", pause_at=2).leave()
    call.go()
    before = call.payer.settled()

    call.ask(CHUNKS, others[profile], key="again").drain()

    assert call.payer.settled() == before
    assert len(stages[profile].billed(call.marker)) == 1


@both_profiles
@every
def test_a_frozen_account_pays_for_the_call_that_it_left(stages, others, profile, kind, limit):
    call = asking(stages[profile], kind, limit)
    listening = call.ask(2, key="again", pause_at=2)
    freeze(call.payer, Freeze)
    listening.leave()
    stages[profile].clock.advance(PAUSE_MS)

    refused = call.ask(CHUNKS, others[profile], key="again")
    refused.drain()
    freeze(call.payer, Unfreeze)
    call.ask(CHUNKS, others[profile], key="again").drain()
    call.go()

    check(call)
    assert call.payer.paid().charged > 0


@pytest.mark.filterwarnings("ignore:Exception in thread reading on:pytest.PytestUnhandledThreadExceptionWarning")
@both_profiles
@every
def test_a_call_left_by_a_dead_process_and_asked_again_is_paid_at_its_bound(stages, others, profile, kind, limit):
    call = asking(stages[profile], kind, limit)
    with dying(others[profile]) as instance:
        call.ask(2, instance, key="again", pause_at=2).leave()
        instance.documents.is_dead = True
        stages[profile].clock.advance(PAUSE_MS)

        call.ask(CHUNKS, key="again").drain()
        call.go()

    check(call)


@both_profiles
@every
def test_two_who_ask_at_once_with_one_key_pay_for_one_call(stages, others, profile, kind, limit):
    call = asking(stages[profile], kind, limit)
    first = call.ask(1, key="twice", pause_at=1, times=0)

    with reading(first):
        until(lambda: stages[profile].billed(call.marker))
        call.go()
    second = call.ask(CHUNKS, others[profile], key="twice").drain()

    assert not second.is_refused
    assert len(stages[profile].billed(call.marker)) == 1
    assert call.payer.settled().charged == stages[profile].owed(call.marker)
