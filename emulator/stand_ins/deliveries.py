"""Deliveries of webhooks: signed for each attempt, repeated until they are accepted, and disturbed on command."""

import heapq
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

WORKERS = 6
TIMEOUT_SECONDS = 20.0
ATTEMPTS_MAX = 8
BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 5.0
CLEAR_SECONDS_MAX = 5.0
REORDER_SECONDS = 0.25  # an incomplete shuffle leaves after this
TURN_SECONDS = 0.005  # how often a delivery looks whether the one before it has been tried

Sign = Callable[[bytes, Mapping[str, Any]], Mapping[str, str]]


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Event on the way to one endpoint. State: pending, held, delivered, dropped or failed."""

    id: str
    event: str
    type: str
    target: str
    body: bytes
    state: str = "pending"
    answers: list[int] = field(default_factory=list)  # 0: no answer
    behind: "Delivery | None" = None  # leaves once this one has been tried

    @property
    def has_its_turn(self) -> bool:
        """Return True if the delivery waits for nothing."""
        return self.behind is None or self.behind.state != "pending" or bool(self.behind.answers)

    def as_json(self) -> dict[str, Any]:
        told = ("id", "event", "type", "target", "state", "answers")
        return {name: getattr(self, name) for name in told}


@dataclass(slots=True, kw_only=True)
class Habit:
    """Disturbance of deliveries, until the next order.

    `types` limits the disturbance to types that contain one of these texts.
    """

    duplicate: int = 0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    reorder: int = 0
    drop: int = 0
    types: list[str] = field(default_factory=list)

    def is_for(self, event_type: str) -> bool:
        return not self.types or any(each in event_type for each in self.types)


class Deliveries:
    """Queue of deliveries, and the sending threads. Many threads send at once, so the order may change."""

    def __init__(self, sign: Sign, *, on_taken: Callable[[str], None]) -> None:
        self._sign = sign
        self._on_taken = on_taken
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Delivery]] = []
        self._tickets: dict[str, int] = {}  # which entry of the queue counts, for each delivery that is in it
        self._numbers = itertools.count(1)
        self._all: dict[str, Delivery] = {}
        self._by_event: dict[str, list[Delivery]] = {}
        self._shuffled: deque[Delivery] = deque()
        self._random = random.Random(0)
        self._sending = 0
        self._workers: list[threading.Thread] = []
        self._is_stopping = False
        self.targets: list[str] = []
        self.habit = Habit()
        self.attempts_max = ATTEMPTS_MAX
        self.backoff_seconds = BACKOFF_SECONDS
        self.is_held = False

    # ── what is to be delivered ──────────────────────────────────────────────────────────────────────────────────────

    def announce(self, event: str, event_type: str, body: bytes) -> None:
        """Send an event to every endpoint, in the way that deliveries go at present."""
        with self._changed:
            for target in self.targets:
                habit = self.habit if self.habit.is_for(event_type) else Habit()
                for _ in range(1 + habit.duplicate):
                    self._add(event, event_type, target, body, habit)
            self._changed.notify_all()

    def _add(self, event: str, event_type: str, target: str, body: bytes, habit: Habit) -> None:
        number = next(self._numbers)
        delivery = Delivery(id=f"dlv_{number}", event=event, type=event_type, target=target, body=body)
        self._all[delivery.id] = delivery
        self._by_event.setdefault(event, []).append(delivery)
        if habit.drop > 0:
            habit.drop -= 1
            delivery.state = "dropped"
        elif self.is_held:
            delivery.state = "held"
        elif habit.reorder > 1:
            self._shuffle(delivery, habit.reorder)
        else:
            self._queue(delivery, habit.delay_seconds + self._random.uniform(0, habit.jitter_seconds))

    def _shuffle(self, delivery: Delivery, size: int) -> None:
        """Collect a few deliveries and send the last one first. A delivery that waits too long is sent anyway."""
        self._shuffled.append(delivery)
        whole = len(self._shuffled) >= size
        if not whole:
            self._queue(delivery, REORDER_SECONDS)
            return
        before: Delivery | None = None
        for each in reversed(self._shuffled):
            each.behind, before = before, each
            self._queue(each, 0)
        self._shuffled.clear()

    def _queue(self, delivery: Delivery, in_seconds: float) -> None:
        ticket = self._tickets[delivery.id] = next(self._numbers)
        heapq.heappush(self._due, (time.monotonic() + in_seconds, ticket, delivery))

    def _unqueue(self, delivery: Delivery) -> None:
        self._tickets.pop(delivery.id, None)

    # ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self) -> None:
        """Send nothing from now on. Queued deliveries wait, too."""
        with self._changed:
            self.is_held = True
            for delivery_id in self._tickets:
                self._all[delivery_id].state = "held"
            self._tickets.clear()
            self._due.clear()
            self._shuffled.clear()

    def release(self) -> None:
        """Send all held deliveries, the oldest first. From now on deliveries leave by themselves again."""
        with self._changed:
            self.is_held = False
            for delivery in self._all.values():
                if delivery.state == "held":
                    delivery.state = "pending"
                    self._queue(delivery, 0)
            self._changed.notify_all()

    def pending(self) -> list[dict[str, Any]]:
        """Return the waiting deliveries: held back, queued, or between two attempts."""
        with self._changed:
            return [each.as_json() for each in self._all.values() if each.state in {"held", "pending"}]

    def everything(self) -> list[dict[str, Any]]:
        with self._changed:
            return [each.as_json() for each in self._all.values()]

    def of_event(self, event: str) -> list[Delivery]:
        with self._changed:
            return list(self._by_event.get(event, ()))

    def get(self, delivery_id: str) -> Delivery | None:
        with self._changed:
            return self._all.get(delivery_id)

    def forget(self, delivery: Delivery) -> None:
        """Drop a delivery for good."""
        with self._changed:
            self._unqueue(delivery)
            delivery.state = "dropped"

    def send_now(
        self, delivery: Delivery, *, body: bytes | None = None, signing: Mapping[str, Any] | None = None
    ) -> int:
        """Deliver now, also an event that was delivered before. Return the answered status, 0 without an answer."""
        with self._changed:
            self._unqueue(delivery)
        with requests.Session() as session:
            session.trust_env = False
            return self._attempt(session, delivery, body=body, signing=signing or {})

    # ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        for number in range(WORKERS):
            worker = threading.Thread(target=self._work, name=f"deliveries-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)

    def stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._due.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(TIMEOUT_SECONDS)

    def clear(self) -> None:
        """Forget every delivery and every habit, once those under way have ended; endpoints stay."""
        with self._changed:
            self._due.clear()
            self._tickets.clear()
            self._changed.wait_for(lambda: not self._sending, CLEAR_SECONDS_MAX)
            self._due.clear()
            self._tickets.clear()
            self._by_event.clear()
            self._all.clear()
            self._shuffled.clear()
            self.habit = Habit()
            self.is_held = False
            self._random = random.Random(0)

    def drain(self, seconds: float) -> bool:
        """Wait until no delivery is queued or under way, at most for `seconds`.

        Return False if the time was too short.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: not self._tickets and not self._sending, deadline - time.monotonic())

    def _work(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (delivery := self._next()) is not None:
                status = self._attempt(session, delivery, body=None, signing={})
                with self._changed:
                    self._sending -= 1
                    self._try_again(delivery, status)
                    self._changed.notify_all()

    def _next(self) -> Delivery | None:
        """Wait for the next due delivery, and return the delivery; None at the end."""
        with self._changed:
            while not self._is_stopping:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, ticket, delivery = heapq.heappop(self._due)
                if self._tickets.get(delivery.id) != ticket:
                    continue
                if not delivery.has_its_turn:
                    self._queue(delivery, TURN_SECONDS)
                    continue
                self._unqueue(delivery)
                self._sending += 1
                if delivery in self._shuffled:
                    self._shuffled.remove(delivery)
                return delivery
        return None

    def _try_again(self, delivery: Delivery, status: int) -> None:
        if 200 <= status < 300 or delivery.id not in self._all or delivery.state != "pending":  # noqa: PLR2004
            return
        attempts = len(delivery.answers)
        if attempts >= self.attempts_max:
            delivery.state = "failed"
        elif self.is_held:
            delivery.state = "held"
        else:
            self._queue(delivery, min(self.backoff_seconds * 2 ** (attempts - 1), BACKOFF_SECONDS_MAX))

    def _attempt(
        self, session: requests.Session, delivery: Delivery, *, body: bytes | None, signing: Mapping[str, Any]
    ) -> int:
        sent = delivery.body if body is None else body
        headers = {"Content-Type": "application/json; charset=utf-8", **self._sign(sent, signing)}
        try:
            answer = session.post(
                delivery.target, data=sent, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
            status = answer.status_code
        except requests.RequestException:
            status = 0
        with self._changed:
            delivery.answers.append(status)
            if 200 <= status < 300:  # noqa: PLR2004
                delivery.state = "delivered"
        if delivery.state == "delivered":
            self._on_taken(delivery.event)
        return status
