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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import pytest

from emulator.provider.painting import painted
from emulator.upstream import Upstream
from tests.support.payers import CREDIT, Instance, Json, Killed, Listening, Paid, Payer, Profile, Stage, until

WORDS = "One two three four"
CHUNKS = len(WORDS.split())
TURN_MS = 501_000
"""Just longer than a turn may take."""
THINK_SECONDS = 0.3
READING_ON = "reading on"
"""The name of threads that read on."""
PICTURE = base64.b64encode(painted("a cat", "1024x1024")).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of call: its model and its question. `is_hidden`: it uses tokens that nobody sees."""

    model: str
    text: str
    picture: str = ""
    is_hidden: bool = False


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
NUMBERS = itertools.count(1)


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


@dataclass
class Asking:
    """One call of one payer. `asked` is read to some chunk, where the provider waits until it may go on."""

    stage: Stage
    kind: Kind
    limit: str
    payer: Payer
    marker: str

    def ask(self, at: int, instance: Instance | None = None, **script: Any) -> Listening:
        """The call, read to its chunk `at`."""
        self.stage.upstream.script(contains=self.marker, reply=WORDS, **script)
        headers = {"X-Request-Id": self._request_id}
        return self.payer.stream(self._path, self._body, instance=instance, headers=headers).read(at)

    def stop(self, instance: Instance | None = None) -> Json:
        """Ask to stop the call, and hear what it costs."""
        stopping = self._path.replace("/messages", "/stop") if self.limit == "conversation" else "/openai/stop"
        told = self.payer.call("POST", stopping, {"request_id": self._request_id}, instance=instance)
        assert told.status_code == 200, told.text
        return dict(told.json)

    @property
    def _request_id(self) -> str:
        return f"r-{self.marker.strip('[]').replace(' ', '-')}"

    def go(self) -> None:
        """Let the provider go on to its end."""
        self.stage.upstream.go(self.marker, 10)

    def check(self, paid: Paid) -> None:
        """The law, for a call that our own process outlived."""
        (seen,) = self.stage.billed(self.marker)
        owed = self.stage.cost(seen)
        assert paid.absorbed == 0
        if seen["bill"]["is_reported"]:
            assert paid.charged == owed
        elif self.is_visible:
            assert min(owed, paid.held) <= paid.charged <= paid.held
        else:
            assert paid.charged == paid.held

    @property
    def is_visible(self) -> bool:
        """True if the provider's bill ends with the connection and everything it counts can be seen."""
        return self.stage.ends and not self.kind.is_hidden

    @cached_property
    def _path(self) -> str:
        if self.limit != "conversation":
            return "/openai/chat/completions"
        made = self.payer.call("POST", "/chat/conversations", {"model": self.kind.model})
        return f"/chat/conversations/{made.json['id']}/messages"

    @property
    def _body(self) -> Json:
        content = f"{self.kind.text} {self.marker}"
        if self.limit == "conversation":
            return {"content": content}
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{self.kind.picture}"}}
        parts = [{"type": "text", "text": content}, picture] if self.kind.picture else content
        body: Json = {"model": self.kind.model, "messages": [{"role": "user", "content": parts}]}
        limit = {"max_completion_tokens": 200} if self.limit == "limit" else {}
        return {**body, **limit}


def asking(stage: Stage, cell: tuple[str, str]) -> Asking:
    """Somebody new who makes this kind of call within this limit."""
    kind, limit = cell
    payer = stage.payer(amount="50") if limit == "capped key" else stage.payer()
    return Asking(stage=stage, kind=KINDS[kind], limit=limit, payer=payer, marker=f"[cell {next(NUMBERS)}]")


def first_chunk(limit: str) -> int:
    """A conversation's stream begins with the first piece of text, the others before it."""
    return 1 if limit == "conversation" else 0


def every(cells: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cell", cells, ids=["-".join(cell) for cell in cells])


both_profiles = pytest.mark.parametrize("profile", PROFILES)


@both_profiles
@every(STREAMED)
def test_who_reads_to_the_end_pays_what_is_reported(stages, profile, cell):
    call = asking(stages[profile], cell)

    call.ask(CHUNKS).drain()

    paid = call.payer.settled()
    assert (paid.charged, paid.absorbed) == (stages[profile].owed(call.marker), 0)


@both_profiles
@every(STREAMED)
def test_who_leaves_at_any_chunk_pays_what_the_provider_bills(stages, profile, cell):
    for chunk in range(first_chunk(cell[1]), CHUNKS + 1):
        call = asking(stages[profile], cell)

        call.ask(chunk, pause_at=chunk).leave()
        call.go()

        call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
def test_a_time_limit_ends_like_leaving(stages, profile, cell):
    for chunk in (first_chunk(cell[1]), CHUNKS - 1):
        call = asking(stages[profile], cell)

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
        call = asking(stages[profile], cell)

        with reading(call.ask(chunk, pause_at=chunk)):
            told = call.stop()
            call.go()

        paid = call.payer.settled()
        call.check(paid)
        if told["status"] == "settling":
            assert paid.charged <= micro(told["at_most"]) <= paid.held
        else:
            assert (told["status"], micro(told["cost"])) == ("stopped", paid.charged)


@both_profiles
@every(STREAMED)
@pytest.mark.parametrize("how", ["cut", "error"])
def test_a_failure_after_the_first_word_is_charged_by_the_law(stages, profile, cell, how):
    script: Json = {"as": "event"} if how == "error" else {}
    for chunk in range(1, CHUNKS + 1):
        call = asking(stages[profile], cell)

        call.ask(CHUNKS, fail_after=chunk, **script).drain()

        call.check(call.payer.settled())


@both_profiles
@every(STREAMED)
@pytest.mark.parametrize("how", ["cut", "error"])
def test_a_failure_before_the_first_word_costs_the_user_nothing(stages, profile, cell, how):
    """The provider may bill the input and hidden tokens: where it delivers nothing, that is ours to bear."""
    script: Json = {"as": "event"} if how == "error" else {}
    call = asking(stages[profile], cell)

    call.ask(CHUNKS, fail_after=0, **script).drain()

    assert call.payer.settled().charged == 0


@both_profiles
@every(STREAMED)
def test_a_process_killed_while_its_caller_reads_leaves_what_was_written_down(stages, doomed, profile, cell):
    """Nothing was, for a call that its first hold covers: the rest is ours."""
    call = asking(stages[profile], cell)

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
    call = asking(stages[profile], cell)

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


# Agents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_an_agents_step_costs_what_is_reported(stages, kind):
    call = asking(stages["laptop"], (kind, "agent budget"))

    work(call)

    assert call.payer.settled().charged == stages["laptop"].owed(call.marker) > 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_task_cancelled_in_a_step_pays_what_is_reported(stages, kind):
    call = asking(stages["laptop"], (kind, "agent budget"))
    task = begin(call, pause_at=0)
    working = threading.Thread(target=stages["laptop"].first.services.agent_slice.run, args=(task,))
    working.start()
    until(lambda: stages["laptop"].billed(call.marker))

    call.payer.call("POST", f"/chat/agent-tasks/{task}/cancel")
    call.go()
    working.join()

    assert call.payer.settled().charged == stages["laptop"].owed(call.marker) > 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_step_cut_by_its_time_limit_is_charged_its_hold_at_most_twice(hasty, kind):
    call = asking(hasty, (kind, "agent budget"))
    task = begin(call, pause_at=0, times=0)

    for _ in range(4):
        hasty.first.services.agent_slice.run(task)
        hasty.clock.advance(600_000)

    paid = call.payer.settled()
    assert len(hasty.billed(call.marker)) == 2
    assert paid.charged == paid.held >= hasty.owed(call.marker)
    assert call.payer.call("GET", f"/chat/agent-tasks/{task}").json["status"] == "paused"


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_step_whose_provider_fails_costs_nothing(stages, kind):
    """A step's answer comes whole, so that nothing of it was delivered: what the provider bills is ours."""
    for script in ({"fail_after": 0}, {"error": {"status": 500, "message": "broken"}}):
        call = asking(stages["laptop"], (kind, "agent budget"))

        work(call, **script)

        assert call.payer.settled().charged == 0


@pytest.mark.parametrize("kind", BY_AGENTS)
def test_a_worker_killed_in_a_step_leaves_nothing_to_pay(stages, doomed, kind):
    call = asking(stages["laptop"], (kind, "agent budget"))
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
        instance.services.agent_slice.run(task)


def begin(call: Asking, **script: Any) -> str:
    """A task whose model answers so; nobody works on it yet."""
    call.stage.upstream.script(contains=call.marker, reply=WORDS, **script)
    body = {"goal": f"{call.kind.text} {call.marker}", "model": call.kind.model, "budget": "50", "tools": []}
    made = call.payer.call("POST", "/chat/agent-tasks", body)
    assert made.status_code == 202, made.text
    return str(made.json["id"])


def work(call: Asking, **script: Any) -> None:
    call.stage.first.services.agent_slice.run(begin(call, **script))


@contextmanager
def dying(instance: Instance) -> Iterator[Instance]:
    """An instance that may be killed inside, and lives again behind the block for the next test's users."""
    before = set(threading.enumerate())
    try:
        yield instance
        until(lambda: not [each for each in threading.enumerate() if each not in before and each.name == READING_ON])
    finally:
        instance.documents.is_dead = False


@contextmanager
def reading(listening: Listening) -> Iterator[None]:
    """The call's client reads on meanwhile, to the end."""
    thread = threading.Thread(target=listening.drain)
    thread.start()
    yield
    thread.join()


def read_to_death(listening: Listening) -> None:
    with suppress(Killed):
        listening.drain()


def micro(credits_: str) -> int:
    return int(Decimal(credits_) * CREDIT)
