"""Check that a turn is paid once if the serving process dies between two steps.

Method: a gate before the store stops the process at a step, the process is killed, and the client asks another process
with the same key.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import pytest
import requests

from shared.ai.tokens import prompt_expected
from shared.kernel.documents import Patch, Query, Where
from shared.kernel.ids import new_id
from shared.sagas.accounts.ledger_sweep import LedgerJobs
from shared.sagas.engine.jobs import Jobs, PeriodicJob
from tests.fire.stage import Gate, Person, Server, Stage, deltas
from tests.support.processes import wait_for

WORDS = [" word"] * 60
CREDITS = 1_000_000
SECONDS_MAX = 180
LONG = [" word"] * 120
LIFETIME_SECONDS = 20
"""Longer than a turn takes, as none of these holds is to be renewed."""
RENEWED_SECONDS = 6
"""The lifetime of one that is: it is renewed while its answer streams."""
HEARD = 40

STEPS = {
    "claim": rb"/turns/",
    "hold": rb'"kind":"hold"',
    "end": rb'"kind":"charge"',
}
"""How the commit of each step is told from the others on its way to the store."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """What was found once the process was dead: nothing has been done about it yet."""

    step: str
    person: Person
    content: str
    key: str


def say_and_forget(person: Person, server: Server, content: str, key: str) -> None:
    with contextlib.suppress(requests.RequestException):
        list(person.say(server, content, key=key, stream=True).iter_content())


def died_behind(stage: Stage, step: str, lifetime_seconds: int) -> Death:
    """Kill the process once this step was written, and before it hears so."""
    gate = Gate(stage.store)
    person, key = Person(stage, CREDITS), new_id("key")
    death = Death(step=step, person=person, content=f"Die behind the {step}, {person.uid}", key=key)
    stage.upstream.script(contains=death.content, reply="".join(WORDS), delay_ms=2, times=0)
    with (
        Server(stage, store=gate.address, HOLD_LIFETIME_SECONDS=str(lifetime_seconds)) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        gate.pattern = re.compile(STEPS[step], re.DOTALL)
        pool.submit(say_and_forget, person, server, death.content, key)
        assert gate.closed.wait(SECONDS_MAX), f"the {step} was never written"
        wait_for(lambda: is_written(stage, death), seconds=SECONDS_MAX, what=f"the {step} is stored")
        server.kill()
    gate.close()
    return death


def is_written(stage: Stage, death: Death) -> bool:
    person = death.person
    turn = turn_of(stage, person)
    return {
        "claim": turn is not None,
        "hold": entries_of(stage, person) > 1,
        "end": person.spent > 0 and turn is not None and turn.data["status"] == "done",
    }[death.step]


def died_streaming(stage: Stage) -> Death:
    """Kill the process in the middle of a slow answer, once its hold was renewed."""
    person, key = Person(stage, CREDITS), new_id("key")
    death = Death(step="stream", person=person, content=f"Die streaming, {person.uid}", key=key)
    stage.upstream.script(contains=death.content, reply="".join(LONG), delay_ms=100)
    stage.upstream.script(contains=death.content, reply="".join(LONG), times=0)  # whoever asks again need not wait
    with (
        Server(stage, HOLD_LIFETIME_SECONDS=str(RENEWED_SECONDS)) as server,
        person.say(server, death.content, key=key, stream=True) as response,
    ):
        pieces = deltas(response)
        assert len(list(islice(pieces, HEARD))) == HEARD
        assert any(entries_of(stage, person) > 2 for _ in pieces), "its hold is renewed"
        server.kill()
    return death


def entries_of(stage: Stage, person: Person) -> int:
    """How many there are: a grant, the hold, what renews it, the charge."""
    return stage.services.credits.ledger.balance(person.uid).seq


def turn_of(stage: Stage, person: Person) -> Any:
    found = stage.services.ports.documents().query(
        Query(collection="turns", where=(Where("uid", "==", person.uid),), limit=2)
    )
    return found[0] if found else None


def let_the_lease_end(stage: Stage, death: Death) -> None:
    """Nobody renews it any more; a test does not wait for it."""
    turn = turn_of(stage, death.person)
    stage.services.ports.documents().commit([Patch(turn.path, {"lease_until": 0}, turn.version)])


def expire(stage: Stage) -> None:
    """What `every_minute` does for holds."""
    services = stage.services
    jobs = LedgerJobs(
        services.ports.documents(),
        services.credits.ledger,
        services.credits.relay,
        services.credits.watch,
        services.credits.losses,
    )
    Jobs(
        services.ports.documents(), services.clock, {"now": (PeriodicJob(name="expire", seconds=60, run=jobs.expire),)}
    ).run_schedule("now")


def asked_again(server: Server, death: Death) -> dict[str, Any]:
    """The end of the answer that the same request is given now."""
    text = death.person.say(server, death.content, key=death.key, stream=True).text
    done = re.search(r"event: done\n(?:id: .*\n)?data: (.*)", text)
    assert done, text
    answer: dict[str, Any] = json.loads(done.group(1))
    return answer


def paid_for(stage: Stage, death: Death) -> int:
    """What the one answer costs that the provider gave in full."""
    (usage,) = [each["usage"] for each in stage.asked(death.content) if each["outcome"] == "answered"]
    return 100 * usage["prompt_tokens"] + 200 * usage["completion_tokens"]


@pytest.fixture(scope="module")
def deaths(stage: Stage) -> dict[str, Death]:
    """One behind each step; those named `late` are found when the hold's time is up."""
    ways: dict[str, Callable[[], Death]] = {
        **{step: partial(died_behind, stage, step, 900) for step in STEPS},
        "late hold": partial(died_behind, stage, "hold", LIFETIME_SECONDS),
        "late stream": partial(died_streaming, stage),
    }
    with ThreadPoolExecutor(3) as pool:
        dying = {name: pool.submit(way) for name, way in ways.items()}
        return {name: each.result() for name, each in dying.items()}


@pytest.fixture(scope="module")
def survivor(stage: Stage, deaths: dict[str, Death]) -> Iterator[Server]:
    """Another instance, once the leases of the dead have ended."""
    for death in deaths.values():
        let_the_lease_end(stage, death)
    with Server(stage) as server:
        yield server


def test_a_turn_that_died_is_finished_or_replayed_for_one_charge(stage, deaths, survivor):
    for step in STEPS:
        death = deaths[step]

        answer = asked_again(survivor, death)

        assert answer["message"]["content"] == "".join(WORDS)
        assert [each["outcome"] for each in stage.asked(death.content)] == ["answered"], step
        assert death.person.spent == paid_for(stage, death), step
        check_settled(death, survivor, answer)


@pytest.fixture(scope="module")
def late(stage: Stage, deaths: dict[str, Death]) -> dict[str, Death]:
    """Those whose holds' time is up, found by the schedule before anybody asks again."""
    found = {step: deaths[f"late {step}"] for step in ("hold", "stream")}
    wait_for(lambda: not any(each.person.held for each in found.values()), seconds=SECONDS_MAX, what="expiry")
    expire(stage)
    return found


def test_when_the_holds_time_is_up_what_had_accrued_is_charged_and_the_rest_is_back(stage, late):
    spent = {step: death.person.spent for step, death in late.items()}

    content = late["stream"].content
    delivered = 100 * prompt_expected([content]) + 200 * stage.asked(content)[0]["chunks_sent"]
    assert spent["hold"] == 0
    assert 0 < spent["stream"] <= delivered
    for death in late.values():
        death.person.check_books()


def test_who_asks_again_then_is_answered_and_pays_for_the_one_answer(stage, late, survivor):
    answers = {step: asked_again(survivor, death) for step, death in late.items()}

    assert {step: answer["message"]["content"] for step, answer in answers.items()} == {
        "hold": "".join(WORDS),
        "stream": "".join(LONG),
    }
    assert {step: len(stage.asked(death.content)) for step, death in late.items()} == {
        "hold": 1,
        "stream": 2,
    }
    assert late["hold"].person.spent == paid_for(stage, late["hold"])
    assert late["stream"].person.spent == paid_for(stage, late["stream"])
    for step, death in late.items():
        check_settled(death, survivor, answers[step])


def check_settled(death: Death, server: Server, answer: dict[str, Any]) -> None:
    """The same key says the same once more and costs nothing more; nothing is held; the books are right."""
    spent = death.person.spent
    assert asked_again(server, death) == answer
    assert (death.person.spent, death.person.held) == (spent, 0)
    assert len(death.person.answers()) == 1
    death.person.check_books()
