"""Who pays for a model call, whatever ends it: every cell of kinds of calls, ways to end, and limits.

The stand-in provider knows what it bills. The law: a reported usage is what is charged. Where nothing is reported, the
charge is at least the provider's bill if that can be seen, the whole hold if it cannot, and never more than the hold.
A process of ours that dies while its caller reads leaves what had been written down, the rest is ours; one that dies
while it reads on leaves the bound.
"""

import base64
import itertools
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from emulator.provider.painting import painted
from emulator.upstream import Upstream
from shared.sagas.agents.budget import THOUGHTS_AHEAD
from tests.support.billed_callers import Instance, Json, Killed, Listening, Profile, Stage, until
from tests.support.model_calls import WORDS, Asking, Kind, asking, dying, micro, read_to_death, reading

CHUNKS = len(WORDS.split())
TURN_MS = 501_000
"""Just longer than a turn may take."""
THINK_SECONDS = 1.0
EARLY, LATE = 5, 280
LONG = " ".join(["word"] * 300)
PICTURE = base64.b64encode(painted("a cat", "1024x1024")).decode()


KINDS = {
    "plain": Kind(model="gpt-4o-mini", text="How are you?"),
    "vision": Kind(model="gpt-4o", text="What is this?", picture=PICTURE),
    "reasoning": Kind(model="o4-mini", text="Prove it.", is_hidden=True),
    "dense text": Kind(model="gpt-4o-mini", text="xqzvkwjf hdlpwrtz ZbnKq7Jx vP0= " * 60),
    "white space": Kind(model="gpt-4o-mini", text=" \t\n\r\f\v" * 300),
}
LIMITS = ("no limit", "limit", "capped key", "conversation", "agent budget")
NOT_OFFERED = {("vision", "conversation"), ("vision", "agent budget")}
"""Neither a conversation nor an agent's goal takes pictures."""
CELLS = [cell for cell in itertools.product(KINDS, LIMITS) if cell not in NOT_OFFERED]
STREAMED = [cell for cell in CELLS if cell[1] != "agent budget"]
BY_AGENTS = [kind for kind, limit in CELLS if limit == "agent budget"]
PROFILES: tuple[Profile, ...] = ("laptop", "openai")


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[Profile, Stage]]:
    """A backend for each profile, with a provider that behaves so."""
    with (
        Upstream() as goes_on,
        Upstream(ends=True) as ends,
        Stage(goes_on) as laptop,
        Stage(ends, profile="openai") as it,
    ):
        yield {"laptop": laptop, "openai": it}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Stage]:
    """A backend whose agents have little patience with a model."""
    with Upstream() as upstream, Stage(upstream, think_seconds=THINK_SECONDS) as it:
        yield it


@pytest.fixture(scope="module")
def doomed(stages: dict[Profile, Stage]) -> dict[Profile, Instance]:
    """A second instance of each backend, which a test may kill."""
    return {profile: stage.instance() for profile, stage in stages.items()}


def first_chunk(limit: str) -> int:
    """A conversation's stream begins with the first piece of text, the others before it."""
    return 1 if limit == "conversation" else 0


def every(cells: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cell", cells, ids=["-".join(cell) for cell in cells])


both_profiles = pytest.mark.parametrize("profile", PROFILES)


@both_profiles
@every(STREAMED)
def test_who_reads_to_the_end_pays_what_is_reported(stages, profile, cell):
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    call.ask(CHUNKS).drain()

    paid = call.payer.settled()
    assert (paid.charged, paid.absorbed) == (stages[profile].owed(call.marker), 0)


@both_profiles
@every(STREAMED)
def test_who_leaves_at_any_chunk_pays_what_the_provider_bills(stages, profile, cell):
    for chunk in range(first_chunk(cell[1]), CHUNKS + 1):
        call = asking(stages[profile], KINDS[cell[0]], cell[1])

        call.ask(chunk, pause_at=chunk).leave()
        call.go()

        call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
def test_a_time_limit_ends_like_leaving(stages, profile, cell):
    for chunk in (first_chunk(cell[1]), CHUNKS - 1):
        call = asking(stages[profile], KINDS[cell[0]], cell[1])

        listening = call.ask(chunk, pause_at=[chunk, chunk + 1])
        stages[profile].clock.advance(TURN_MS)
        stages[profile].upstream.go(call.marker, 1)
        listening.drain()
        call.go()

        call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
def test_a_stop_ends_like_leaving_and_tells_the_cost(stages, profile, cell):
    for chunk in (first_chunk(cell[1]), CHUNKS - 1):
        call = asking(stages[profile], KINDS[cell[0]], cell[1])

        with reading(call.ask(chunk, pause_at=chunk)):
            told = call.stop()
            call.go()

        paid = call.payer.settled()
        call.check(paid)
        if told["status"] == "settling":
            assert paid.charged <= micro(told["at_most"])
        else:
            assert (told["status"], micro(told["cost"])) == ("stopped", paid.charged)


@both_profiles
@every(STREAMED)
@pytest.mark.parametrize("how", ["cut", "error"])
def test_a_failure_after_the_first_word_is_charged_by_the_law(stages, profile, cell, how):
    script: Json = {"as": "event"} if how == "error" else {}
    for chunk in range(1, CHUNKS + 1):
        call = asking(stages[profile], KINDS[cell[0]], cell[1])

        call.ask(CHUNKS, fail_after=chunk, **script).drain()

        call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
@pytest.mark.parametrize("how", ["cut", "error"])
def test_a_failure_before_the_first_word_costs_the_user_nothing(stages, profile, cell, how):
    """The provider may bill the input and hidden tokens: where it delivers nothing, that is ours to bear."""
    script: Json = {"as": "event"} if how == "error" else {}
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    call.ask(CHUNKS, fail_after=0, **script).drain()

    assert call.payer.settled().charged == 0


@both_profiles
@every(STREAMED)
def test_a_process_killed_while_its_caller_reads_leaves_what_was_written_down(stages, doomed, profile, cell):
    """Nothing was, for a call that its first hold covers: the rest is ours."""
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    with dying(doomed[profile]) as instance:
        listening = call.ask(2, instance, pause_at=2)
        instance.documents.is_dead = True
        listening.leave()
        call.go()
        paid = call.payer.swept()

    assert (paid.charged, paid.absorbed) == (0, 0)


@pytest.mark.filterwarnings("ignore:Exception in thread reading on:pytest.PytestUnhandledThreadExceptionWarning")
@both_profiles
@every(STREAMED)
@pytest.mark.parametrize("how", ["left", "timed out", "stopped"])
def test_a_process_killed_while_it_reads_on_leaves_the_bound(stages, doomed, profile, cell, how):
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    with dying(doomed[profile]) as instance:
        listening = call.ask(2, instance, pause_at=[2, 3])
        if how == "timed out":
            end_by_time(stages[profile], call, listening)
        if how == "stopped":
            end_by_stop(call, listening, instance)
        listening.leave()
        instance.documents.is_dead = True
        call.go()
        paid = call.payer.swept()

    assert paid.absorbed == 0
    assert paid.charged <= paid.held
    assert paid.charged >= min(stages[profile].owed(call.marker), paid.held)


def end_by_time(stage: Stage, call: Asking, listening: Listening) -> None:
    """The turn's time is up; one more chunk lets it see that, and the provider waits at the next."""
    stage.clock.advance(TURN_MS)
    stage.upstream.go(call.marker, 1)
    with suppress(Killed):
        listening.read(CHUNKS)


def end_by_stop(call: Asking, listening: Listening, instance: Instance) -> None:
    """A stop on the instance that runs the call, heard while its caller reads."""
    threading.Thread(target=read_to_death, args=(listening,), daemon=True).start()
    call.stop(instance)


# Answers longer than what is held at first ----------------------------------------------------------------------


@both_profiles
@every(STREAMED)
def test_a_long_answer_is_charged_by_the_law_when_left_early(stages, profile, cell):
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    call.ask(EARLY, reply=LONG, pause_at=EARLY).leave()
    call.go()

    call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
def test_a_long_answer_is_charged_by_the_law_when_stopped_early(stages, profile, cell):
    call = asking(stages[profile], KINDS[cell[0]], cell[1])

    with reading(call.ask(EARLY, reply=LONG, pause_at=EARLY)):
        told = call.stop()
        call.go()

    paid = call.payer.settled()
    call.check(paid)
    assert paid.charged <= micro(told["at_most"] or told["cost"])


@both_profiles
@pytest.mark.parametrize("limit", ["no limit", "capped key", "conversation"])
def test_a_process_killed_far_into_a_long_answer_leaves_what_was_written_down(stages, doomed, profile, limit):
    call = asking(stages[profile], KINDS["plain"], limit)

    with dying(doomed[profile]) as instance:
        listening = call.ask(LATE, instance, reply=LONG, pause_at=LATE)
        written = call.payer.accrued
        instance.documents.is_dead = True
        listening.leave()
        call.go()
        paid = call.payer.swept()

    assert (paid.charged, paid.absorbed) == (written, 0)
    assert 0 < written <= stages[profile].price("gpt-4o-mini", *call.read_so_far(LATE))


# Agents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_an_agents_step_costs_what_is_reported(stages, kind):
    call = asking(stages["laptop"], KINDS[kind], "agent budget")

    work(call)

    assert call.payer.settled().charged == stages["laptop"].owed(call.marker) > 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_task_cancelled_in_a_step_pays_what_is_reported(stages, kind):
    call = asking(stages["laptop"], KINDS[kind], "agent budget")
    task = begin(call, pause_at=0)
    working = threading.Thread(target=stages["laptop"].first.services.agents.slice.run, args=(task,))
    working.start()
    until(lambda: stages["laptop"].billed(call.marker))

    call.payer.call("POST", f"/chat/agent-tasks/{task}/cancel")
    call.go()
    working.join()

    assert call.payer.settled().charged == stages["laptop"].owed(call.marker) > 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_step_cut_by_its_time_limit_is_charged_its_most_twice(hasty, kind):
    call = asking(hasty, KINDS[kind], "agent budget")
    task = begin(call, pause_at=0, times=0)

    for _ in range(4):
        hasty.first.services.agents.slice.run(task)
        hasty.clock.advance(600_000)

    paid = call.payer.settled()
    assert len(hasty.billed(call.marker)) <= 2  # on a slow machine the provider may not see a call that was cut
    assert paid.charged * THOUGHTS_AHEAD == paid.held
    assert paid.charged >= max(hasty.owed(call.marker), 1)
    assert call.payer.call("GET", f"/chat/agent-tasks/{task}").json["status"] == "paused"


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_step_whose_provider_fails_costs_nothing(stages, kind):
    """A step's answer comes whole, so that nothing of it was delivered: what the provider bills is ours."""
    for script in ({"fail_after": 0}, {"error": {"status": 500, "message": "broken"}}):
        call = asking(stages["laptop"], KINDS[kind], "agent budget")

        work(call, **script)

        assert call.payer.settled().charged == 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_worker_killed_in_a_step_leaves_nothing_to_pay(stages, doomed, kind):
    call = asking(stages["laptop"], KINDS[kind], "agent budget")
    task = begin(call, pause_at=0)

    with dying(doomed["laptop"]) as instance:
        working = threading.Thread(target=run_to_death, args=(instance, task))
        working.start()
        until(lambda: stages["laptop"].billed(call.marker))
        instance.documents.is_dead = True
        call.go()
        working.join()
        paid = call.payer.swept()

    assert (paid.charged, paid.absorbed) == (0, 0)


def run_to_death(instance: Instance, task: str) -> None:
    with suppress(Killed):
        instance.services.agents.slice.run(task)


def begin(call: Asking, **script: Any) -> str:
    """A task whose model answers so; nobody works on it yet."""
    call.stage.upstream.script(contains=call.marker, reply=WORDS, **script)
    body = {"goal": f"{call.kind.text} {call.marker}", "model": call.kind.model, "budget": "50", "tools": []}
    made = call.payer.call("POST", "/chat/agent-tasks", body)
    assert made.status_code == 202, made.text
    return str(made.json["id"])


def work(call: Asking, **script: Any) -> None:
    call.stage.first.services.agents.slice.run(begin(call, **script))
