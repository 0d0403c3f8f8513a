"""Common part of all stand-ins: a server with a journal, faults, deliveries, a clock, and a control address.

Every Python control works over HTTP, too: `POST /_control/{name}` with the arguments as a JSON object, for the names in
`controls`. The answer is the method's result.
"""

import contextlib
import itertools
import json
import secrets
import string
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from emulator.stand_ins.deliveries import Deliveries, Habit
from emulator.stand_ins.faults import Fault, Faults
from emulator.stand_ins.wire import Answer, Json, Request, Server, copied, json_answer

CONTROL = "/_control/"
DRAIN_SECONDS = 120.0
ALPHABET = string.ascii_letters + string.digits

Pause = Callable[[], None]


class Misuse(ValueError):
    """Error for an impossible order to a control."""


class Refused(Exception):
    """Refusal by the provider, in the provider's words."""


def token(length: int, alphabet: str = ALPHABET) -> str:
    return "".join(alphabet[byte % len(alphabet)] for byte in secrets.token_bytes(length))


@dataclass(slots=True, kw_only=True)
class Seen:
    """API call in the journal. Outcome: open, answered, refused, failed, reset or replayed."""

    id: int
    method: str
    path: str
    query: str
    body: str
    key: str | None
    outcome: str = "open"
    status: int = 0

    def as_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


class StandIn(ABC):
    """Payment provider as a part of this process: `with StripeStandIn() as stripe: … stripe.url`.

    The stand-in ends with the `with` block or the process.
    """

    name: ClassVar[str]
    pay_button: ClassVar[str]  # the button of its hosted page that pays
    key_header: ClassVar[str]  # where its idempotency keys stand, in lower case
    controls: ClassVar[frozenset[str]] = frozenset({
        "advance", "announce_again", "deliveries", "deliver", "drain", "drop", "expire_idempotency_keys", "fail",
        "hold", "hurry", "lie", "misdeliver", "pending", "release", "requests", "reset", "retry", "send_raw", "slow",
        "target",
    })  # fmt: skip

    def __init__(self, *, port: int = 0, later_seconds: float | None = None) -> None:
        self._later_seconds = later_seconds
        self.lock = threading.RLock()
        self.faults = Faults()
        self._journal: list[Seen] = []
        self._numbers = itertools.count(1)
        self._ahead_seconds = 0.0
        self._hurry = threading.Event()
        self._later: list[threading.Timer] = []
        self._deliveries = Deliveries(self.sign, on_taken=self.on_taken)
        self._server = Server(port, self._serve, name=self.name)

    # ── what each provider says for itself ───────────────────────────────────────────────────────────────────────────

    @classmethod
    @abstractmethod
    def webhook_of(cls, settings: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the given secret or id of webhooks as arguments of this class; empty if the settings have none."""

    @abstractmethod
    def settings_for(self, home: Path) -> Mapping[str, str]:
        """Return the settings with which a backend uses this stand-in. Files that the settings name go to `home`."""

    @abstractmethod
    def answer(self, request: Request, pause: Pause) -> Answer:
        """Return the answer to an API call. A slow provider calls `pause`."""

    @abstractmethod
    def page(self, request: Request) -> Answer | None:
        """Return the hosted page of this address, or None."""

    @abstractmethod
    def refusal(self, status: int) -> Answer:
        """Return an error in this provider's words that does not depend on the request."""

    @abstractmethod
    def sign(self, body: bytes, signing: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the headers that prove a delivery. `signing` orders a fault in the headers."""

    @abstractmethod
    def event(self, event_id: str) -> Json:
        """Return an event as announced. Raises Misuse for an unknown event."""

    @abstractmethod
    def clear(self) -> None:
        """Forget every object."""

    @abstractmethod
    def expire_idempotency_keys(self) -> int:
        """Forget all idempotency keys, as providers do after hours, and return the number of these keys."""

    def on_taken(self, event_id: str) -> None:  # noqa: B027  # most providers do not mind
        """Note that an endpoint has accepted this event."""

    def remember_failure(self, request: Request, answer: Answer) -> None:  # noqa: B027  # nor do they all remember
        """Keep a failure as the answer of an idempotency key, as some providers do."""

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._deliveries.start()
        self._server.start()

    def stop(self) -> None:
        self.hurry()
        for timer in self._later:
            timer.cancel()
        self._server.stop()
        self._deliveries.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def now(self) -> float:
        """Return the time by the stand-in's own clock, in seconds since the epoch."""
        return time.time() + self._ahead_seconds

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` after this many seconds, unless the stand-in ends or is reset before."""
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._later.append(timer)
        timer.start()

    # ── controls: the same in Python and under /_control/ ────────────────────────────────────────────────────────────

    @property
    def journal(self) -> list[Json]:
        """Return the API calls since the last reset, oldest first."""
        return [seen.as_json() for seen in list(self._journal)]

    def requests(self, *, path: str = "", method: str = "") -> list[Json]:
        """Return the journal, or the calls whose path contains a text."""
        return [seen for seen in self.journal if path in seen["path"] and method in {"", seen["method"]}]

    def reset(self) -> None:
        """Forget every object, event, delivery, key, order and request; endpoints and credentials stay."""
        for timer in self._later:
            timer.cancel()
        self._later.clear()
        self._deliveries.clear()  # before the lock: a delivery that ends takes it
        with self.lock:
            self.clear()
            self.expire_idempotency_keys()
            self.faults.clear()
            self._journal.clear()
            self._ahead_seconds = 0.0

    def advance(self, *, seconds: float) -> float:
        """Move the stand-in's clock forward, so that keys and sessions grow old.

        Return the new time in seconds since the epoch.
        """
        self._ahead_seconds += seconds
        return self.now()

    def fail(
        self,
        *,
        times: int = 1,
        how: str = "status",
        status: int = 500,
        when: str = "before",
        seconds: float = 0.0,
        path: str = "",
        method: str = "",
        is_remembered: bool = False,
    ) -> None:
        """Make the next API calls fail, before or after their effect.

        how: `status` answers an error, `reset` ends the connection, `hang` first waits `seconds`. Only calls of this
        method with `path` in their path count. `is_remembered`: the failure becomes the answer of the idempotency key.
        """
        self.faults.order(
            Fault(
                times=times,
                how=how,
                status=status,
                when=when,
                seconds=seconds,
                path=path,
                method=method,
                is_remembered=is_remembered,
            )
        )

    def slow(self, *, seconds: float, times: int = 1, path: str = "", method: str = "") -> None:
        """Make the next API calls take this long; they succeed."""
        self.faults.order(Fault(times=times, how="slow", seconds=seconds, path=path, method=method))

    def hurry(self) -> None:
        """Let all slow and hanging answers continue at once."""
        patient, self._hurry = self._hurry, threading.Event()
        patient.set()

    def target(self, *, urls: list[str]) -> None:
        """Set the endpoints for events from now on."""
        self._deliveries.targets = list(urls)

    def retry(self, *, attempts: int, backoff_seconds: float) -> None:
        """Set the number of attempts of a delivery, and the pause after the first failure."""
        self._deliveries.attempts_max, self._deliveries.backoff_seconds = attempts, backoff_seconds

    def misdeliver(
        self,
        *,
        duplicate: int = 0,
        delay_seconds: float = 0.0,
        jitter_seconds: float = 0.0,
        reorder: int = 0,
        drop: int = 0,
        types: list[str] | None = None,
    ) -> None:
        """Set the habits of later deliveries: copies, delays, the last of `reorder` first, the next `drop` never."""
        self._deliveries.habit = Habit(
            duplicate=duplicate,
            delay_seconds=delay_seconds,
            jitter_seconds=jitter_seconds,
            reorder=reorder,
            drop=drop,
            types=types or [],
        )

    def hold(self) -> None:
        """Deliver nothing from now on. `pending` lists the waiting deliveries, `deliver` sends one, `release` all."""
        self._deliveries.hold()

    def release(self) -> None:
        self._deliveries.release()

    def pending(self) -> list[Json]:
        return self._deliveries.pending()

    def deliveries(self) -> list[Json]:
        """Return the deliveries since the last reset, each with its answered statuses."""
        return self._deliveries.everything()

    def deliver(self, id: str, **signing: Any) -> int:  # noqa: A002  # ids are called id everywhere
        """Deliver now, by the id of a delivery, or all deliveries of an event. Return the endpoint's last answer.

        An event that was delivered before is delivered again. `signing` orders a fault in the signature.
        """
        one = self._deliveries.get(id)
        found = [one] if one else self._deliveries.of_event(id)
        if not found:
            raise Misuse(f"there is no delivery or delivered event {id}")
        return [self._deliveries.send_now(each, signing=signing) for each in found][-1]

    def announce_again(self, *, event: str) -> None:
        """Make a new delivery of an event that was announced before, like a click in the dashboard."""
        told = self.event(event)
        self._deliveries.announce(event, self.type_of(told), self.body_of(told))

    def drop(self, id: str) -> None:  # noqa: A002
        """Drop this delivery, or every delivery of this event."""
        one = self._deliveries.get(id)
        for each in [one] if one else self._deliveries.of_event(id):
            self._deliveries.forget(each)

    def drain(self, *, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until no delivery is queued or under way, at most for `seconds`. Held deliveries do not count.

        Return False if the time was too short.
        """
        return self._deliveries.drain(seconds)

    def lie(self, *, event: str, changes: Json, id: str | None = None) -> str:  # noqa: A002
        """Announce a changed copy of an event, truly signed, and return the copy's id.

        `changes` maps dotted paths to values: `{"livemode": true, "data.object.amount_total": 1}`. The copy has an id
        of its own unless an id is given. The objects stay unchanged.
        """
        told = copied(self.event(event))
        told["id"] = id or self.event_id()
        for path, value in changes.items():
            *parents, last = path.split(".")
            place: Any = told
            for name in parents:
                place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
            place[last] = value
        self._deliveries.announce(told["id"], self.type_of(told), self.body_of(told))
        return str(told["id"])

    def send_raw(self, *, body: str, **signing: Any) -> int:
        """Sign exactly these bytes, deliver them to the first endpoint, and return the answer."""
        with contextlib.suppress(ValueError, AttributeError):  # no JSON, or no object
            told = json.loads(body)
            return self._send(str(told.get("id", "")), self.type_of(told), body.encode(), signing)
        return self._send("", "", body.encode(), signing)

    def _send(self, event: str, event_type: str, body: bytes, signing: Mapping[str, Any]) -> int:
        from emulator.stand_ins.deliveries import Delivery

        if not self._deliveries.targets:
            raise Misuse("there is no endpoint to deliver to")
        once = Delivery(id="", event=event, type=event_type, target=self._deliveries.targets[0], body=body)
        return self._deliveries.send_now(once, signing=signing)

    # ── for the providers ────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def event_id(self) -> str:
        """Return an id for a new event."""

    @staticmethod
    @abstractmethod
    def type_of(event: Json) -> str:
        """Return the event's type, from this provider's place for the type."""

    @staticmethod
    def body_of(event: Json) -> bytes:
        """Return the delivered form of an event: text without escapes."""
        return json.dumps(event, ensure_ascii=False).encode()

    def announce(self, event: Json) -> None:
        self._deliveries.announce(str(event["id"]), self.type_of(event), self.body_of(event))

    def waiting_for(self, event_id: str) -> int:
        """Return the number of endpoints that have not accepted this event yet."""
        return sum(each.state != "delivered" for each in self._deliveries.of_event(event_id))

    # ── every request ────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, request: Request) -> Answer | None:
        if request.path.startswith(CONTROL):
            return self._control(request)
        page = self.page(request)
        return self._call(request) if page is None else page

    def _control(self, request: Request) -> Answer:
        name = request.path.removeprefix(CONTROL)
        if name not in self.controls:
            return json_answer({"error": f"no such control; there are {', '.join(sorted(self.controls))}"}, status=404)
        try:
            result = getattr(self, name)(**json.loads(request.body or b"{}"))
        except (Refused, ValueError, TypeError, KeyError) as error:
            return json_answer({"error": f"{type(error).__name__}: {error}"}, status=400)
        return json_answer({"result": result})

    def _call(self, request: Request) -> Answer | None:
        seen = self._note(request)
        fault = self.faults.take(request)
        is_failing = fault.how != "slow"
        if is_failing and fault.when == "before":
            return self._fail(request, seen, fault)
        answer = self.answer(request, lambda: self._wait(0.0 if is_failing else fault.seconds))
        if is_failing:
            return self._fail(request, seen, fault)
        seen.status = answer.status
        seen.outcome = "replayed" if answer.is_replay else "answered" if answer.status < 400 else "refused"  # noqa: PLR2004
        return answer

    def _note(self, request: Request) -> Seen:
        seen = Seen(
            id=next(self._numbers),
            method=request.method,
            path=request.path,
            query=request.query,
            body=request.body.decode(errors="replace"),
            key=request.headers.get(self.key_header),
        )
        self._journal.append(seen)
        return seen

    def _fail(self, request: Request, seen: Seen, fault: Fault) -> Answer | None:
        self._wait(fault.seconds)
        if fault.how in {"reset", "hang"}:
            seen.outcome = "reset"
            return None
        answer = self.refusal(fault.status)
        if fault.is_remembered:
            self.remember_failure(request, answer)
        seen.outcome, seen.status = "failed", answer.status
        return answer

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._hurry.wait(seconds)
