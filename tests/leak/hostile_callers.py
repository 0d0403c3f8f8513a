"""Hostile callers at work: each burst of calls, the provider's bill, and the payments."""

import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from emulator.upstream import Upstream
from tests.leak.plan import Ask, Caller, caller, picture
from tests.support.billed_callers import Json, Payer, Profile, Stage, until

CONCURRENCY = 16
SETTLED_SECONDS_MAX = 60.0
MARKER = re.compile(r"\[\d+\.\d+\.\d+\]")
ROUNDS_MAX = 3
"""So often a worker goes on with an agent's task."""
ENVIRONMENT = {"RATE_LIMIT_PER_MINUTE": "60000", "RATE_LIMIT_BURST": "60000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Calls of one user that ran side by side, once all was settled; µcr."""

    user: int
    asks: tuple[Ask, ...]
    billed: int
    delivered: int
    charged: int

    @property
    def loss(self) -> int:
        """What the provider bills and nobody paid."""
        return max(0, self.billed - self.charged)


def rush(seed: int, callers: int, profile: Profile = "laptop") -> list[Burst]:
    """Let so many callers loose on a provider of this profile, some at a time, and add up who paid."""
    with (
        Upstream(ends=profile == "openai") as upstream,
        Stage(upstream, profile=profile, env=ENVIRONMENT, is_live=True) as stage,
        ThreadPoolExecutor(CONCURRENCY) as pool,
    ):
        played = list(pool.map(lambda number: _play(stage, number, caller(seed, number)), range(callers)))
    bills = _bills(stage)
    return [_burst(number, asks, charged, bills) for number, each in enumerate(played) for asks, charged in each]


def _play(stage: Stage, number: int, who: Caller) -> list[tuple[tuple[Ask, ...], int]]:
    """Every burst of one caller, with what it was charged."""
    payer = stage.payer(who.credits)
    spender = payer if who.cap is None else payer.with_key(f"{who.cap:.6f}")
    played, before = list[tuple[tuple[Ask, ...], int]](), payer.total
    for asks in who.bursts:
        threads = [threading.Thread(target=act, args=(stage, spender, ask)) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: payer.held == 0, SETTLED_SECONDS_MAX)
        played.append((asks, before - payer.total))
        before = payer.total
    return played


def act(stage: Stage, payer: Payer, ask: Ask) -> None:
    """Make one call and end it in its way."""
    script = dict(ask.script)
    if ask.ending == "cut" and ask.route != "agent":
        script["fail_after"] = ask.at
    if ask.ending == "no usage":
        script["usage"] = None
    stage.upstream.script(contains=ask.marker, times=0, **script)
    if ask.route == "agent":
        _set_to_work(stage, payer, ask)
        return
    path, body = _call(payer, ask)
    if not path:
        return
    key = f"k{uuid.uuid4().hex}" if ask.ending in {"ask again", "twice at once"} else ""
    headers = {"X-Request-Id": f"r{uuid.uuid4().hex}", **({"Idempotency-Key": key} if key else {})}
    if ask.ending == "plain":
        payer.call("POST", path, body, headers=headers)
    elif ask.ending == "twice at once":
        twin = threading.Thread(target=lambda: _listen(payer, path, body, headers))
        twin.start()
        _listen(payer, path, body, headers)
        twin.join()
    else:
        _end(payer, ask, path, body, headers)


def _end(payer: Payer, ask: Ask, path: str, body: Json, headers: Mapping[str, str]) -> None:
    listening = payer.stream(path, body, headers=headers)
    if listening.is_refused:
        listening.leave()
    elif ask.ending == "stop":
        reading = threading.Thread(target=listening.drain)
        reading.start()
        until(lambda: len(listening.pieces) >= ask.at or not reading.is_alive())
        _stop(payer, path, headers)
        reading.join()
    elif ask.ending in {"leave", "leave at once", "ask again"}:
        listening.read(0 if ask.ending == "leave at once" else ask.at)
        listening.leave()
        if ask.ending == "ask again":
            _listen(payer, path, body, headers)
    else:
        listening.drain()


def _listen(payer: Payer, path: str, body: Json, headers: Mapping[str, str]) -> None:
    payer.stream(path, body, headers=headers).drain()


def _stop(payer: Payer, path: str, headers: Mapping[str, str]) -> None:
    if path.startswith("/openai"):
        payer.call("POST", "/openai/stop", {"request_id": headers["X-Request-Id"]})
    else:
        payer.call("POST", path.replace("/messages", "/stop"))


def _call(payer: Payer, ask: Ask) -> tuple[str, Json]:
    content = f"{ask.text} {ask.marker}"
    limit = ask.limit
    if ask.route == "conversation":
        made = payer.call("POST", "/chat/conversations", {"model": ask.model})
        given = {} if limit is None else {"max_output_tokens": limit}
        return f"/chat/conversations/{made.json['id']}/messages", {"content": content, **given}
    if ask.route == "responses":
        given = {} if limit is None else {"max_output_tokens": max(limit, 16)}
        return "/openai/responses", {"model": ask.model, "input": content, "store": False, **given}
    pictures = [{"type": "image_url", "image_url": {"url": picture(size)}} for size in ask.pictures]
    parts: Any = [{"type": "text", "text": content}, *pictures] if pictures else content
    given = {} if limit is None else {"max_completion_tokens": limit}
    return "/openai/chat/completions", {"model": ask.model, "messages": [{"role": "user", "content": parts}], **given}


def _set_to_work(stage: Stage, payer: Payer, ask: Ask) -> None:
    """An agent's task with a small budget, resumed with a larger one, or cancelled on the way."""
    budget = {"goal": f"{ask.text} {ask.marker}", "model": ask.model, "budget": f"{max(5, ask.at) / 100:.2f}"}
    made = payer.call("POST", "/chat/agent-tasks", budget)
    if made.status_code != 202:
        return
    task = made.json["id"]
    for _ in range(ROUNDS_MAX):
        working = threading.Thread(target=stage.first.services.agents.slice.run, args=(task,))
        working.start()
        if ask.ending in {"leave", "leave at once", "stop"}:
            payer.call("POST", f"/chat/agent-tasks/{task}/cancel")
        working.join()
        payer.call("POST", f"/chat/agent-tasks/{task}/resume", {"budget": f"{ask.at / 10:.1f}"})
    payer.call("POST", f"/chat/agent-tasks/{task}/cancel")
    stage.first.services.agents.slice.run(task)


def _bills(stage: Stage) -> Mapping[str, list[Json]]:
    """The provider's journal by marker."""
    found: dict[str, list[Json]] = defaultdict(list)
    for seen in stage.upstream.requests:
        for marker in set(MARKER.findall(str(seen["body"]))):
            found[marker].append(seen)
    return found


def _burst(user: int, asks: tuple[Ask, ...], charged: int, bills: Mapping[str, list[Json]]) -> Burst:
    calls = [seen for ask in asks for seen in bills.get(ask.marker, ())]
    return Burst(
        user=user,
        asks=asks,
        billed=sum(_cost(seen, seen["bill"]["output_tokens"]) for seen in calls),
        delivered=sum(_delivered(calls)),
        charged=charged,
    )


def _delivered(calls: Iterable[Json]) -> Iterable[int]:
    """The value of what callers got: the input and hidden tokens of a call count once its answer has begun."""
    for seen in calls:
        if seen["bill"]["delivered_tokens"]:
            yield _cost(seen, seen["bill"]["reasoning_tokens"] + seen["bill"]["delivered_tokens"])


def _cost(seen: Json, output_tokens: int) -> int:
    return Stage.price(seen["body"]["model"], seen["bill"]["input_tokens"], output_tokens)
