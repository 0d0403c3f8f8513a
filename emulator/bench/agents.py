"""A step of an agent with the whole money path on, beside the bare model call; and what an idle task costs."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.seed import seed_models, seed_topics
from emulator.settings import laptop_settings
from emulator.suite import Suite
from emulator.upstream import Upstream
from shared.ai.agents.thinking import ThinkingMessage, ThinkRequest
from shared.bootstrap import Services, production
from shared.kernel.ids import LotId, OperationId, Uid, new_id
from shared.kernel.money import Micro
from shared.kernel.settings import parse_settings
from shared.ledger.commands import Grant
from shared.sagas.agents.sweep import AgentJobs
from shared.sagas.agents.tasks import TaskRequest
from shared.sagas.engine.jobs import JobRun
from shared.sagas.metering.authority import Scopes

TASKS = 25
THOUGHTS = 4
"""As many as one slice takes with the tools between them: a task is one message."""
IDLE_TASKS = 200
SWEEPS = 15
SWEEP_SECONDS = 60.0
WARM_UP = 3


def main() -> None:
    """Start the servers, measure, and print the table."""
    with tempfile.TemporaryDirectory() as home, Upstream(delay_ms=0) as upstream:
        suite = Suite(home=Path(home), only=("firestore", "pubsub"))
        with suite:
            os.environ.update(suite.environment())
            seed_models(suite.project)
            seed_topics(suite.project)
            settings = {
                **os.environ,
                **laptop_settings(),
                "AI_PLATFORM_API_KEY": "sk-laptop",
                "AI_PLATFORM_BASE_URL": upstream.url,
                "RATE_LIMIT_PER_MINUTE": "60000",
                "RATE_LIMIT_BURST": "60000",
            }
            services = production(parse_settings(settings))
            services.users.__dict__["authority"] = Everybody()
            print_table(_rows(services, upstream))


class Everybody:
    """Lets everybody's work go on: no identity provider runs here. Its answer is remembered for a minute anyway."""

    def check(self, uid: Uid, spender: str) -> Scopes:
        """Return None, so that all scopes may be used; see `Authority.check`."""
        return None


def _rows(services: Services, upstream: Upstream) -> Iterator[Row]:
    uid = _rich(services)
    for number in range(WARM_UP):
        _task(services, upstream, uid, number)
    floor = [timed(lambda: _bare(services)) for _ in range(TASKS * 2)]
    ours = [_task(services, upstream, uid, WARM_UP + number) / THOUGHTS for number in range(TASKS)]
    yield _row("a step: think, use a tool, observe; p50", statistics.median(ours), statistics.median(floor))
    yield _row("the same, p90", percentile(ours, 90), percentile(floor, 90))
    yield from _idle(services, uid)


def _task(services: Services, upstream: Upstream, uid: Uid, number: int) -> float:
    """Run one task from the message to the answer, and return the seconds."""
    goal = f"bench {number} of {time.time_ns()}"
    upstream.script(
        contains=goal, tool_calls=[{"name": "calculator", "arguments": {"expression": "2^10"}}], times=THOUGHTS - 1
    )
    task = _begun(services, uid, goal, max_steps=THOUGHTS)
    took = timed(lambda: services.agents.slice.run(task))
    ended = services.agents.tasks.get(uid, task)
    assert (ended.status, ended.thoughts) == ("completed", THOUGHTS), (ended.status, ended.reason, ended.thoughts)
    return took


def _idle(services: Services, uid: Uid) -> Iterator[Row]:
    """Measure the sweep beside many waiting tasks, and beside none."""
    sweep = AgentJobs(services.agents.tasks).sweep
    for _ in range(WARM_UP):
        sweep(JobRun("0", services.clock, SWEEP_SECONDS))
    floor = statistics.median(timed(lambda: sweep(JobRun("0", services.clock, SWEEP_SECONDS))) for _ in range(SWEEPS))
    for _ in range(IDLE_TASKS):
        services.agents.tasks.cancel(uid, _begun(services, uid, "idle", max_steps=1))
    turn = JobRun("0", services.clock, SWEEP_SECONDS)
    sweep(turn)
    ours = statistics.median(timed(lambda: sweep(JobRun("0", services.clock, SWEEP_SECONDS))) for _ in range(SWEEPS))
    told = f"{ours / floor:.2f}×, {turn.done} messages, no write"
    yield (
        f"the sweep beside {IDLE_TASKS} tasks at rest",
        milliseconds(ours),
        f"{milliseconds(floor)} (without them)",
        told,
    )


def _begun(services: Services, uid: Uid, goal: str, *, max_steps: int) -> str:
    request = TaskRequest(
        uid=uid,
        goal=goal,
        budget=Micro(10_000_000),
        operation=OperationId(new_id("op")),
        fingerprint="",
        max_steps=max_steps,
        model="gpt-4o-mini",
    )
    return services.agents.tasks.begin_task(request).id


def _bare(services: Services) -> None:
    """The same model through the same client, with nothing around it."""
    request = ThinkRequest(
        model="gpt-4o-mini", messages=(ThinkingMessage(role="user", content="bench"),), tools=(), max_output_tokens=60
    )
    services.ports.thinking_model().think(request)


def _rich(services: Services) -> Uid:
    uid = Uid(new_id("bench"))
    services.credits.ledger.open(uid)
    grant = Grant(
        operation=OperationId("op_bench"),
        amount=Micro(10**12),
        lot=LotId("lot_bench"),
        source="promo:bench",
    )
    services.credits.ledger.execute(uid, grant)
    return uid


def _row(what: str, ours: float, floor: float) -> Row:
    added = f"{ours / floor:.2f}×, {milliseconds(ours - floor)} added"
    return what, milliseconds(ours), f"{milliseconds(floor)} (bare model call)", added


if __name__ == "__main__":
    main()
