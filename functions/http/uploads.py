"""Reading of bodies from real connections: within a time, at a least rate, and by a part of the threads only.

A thread that reads a body waits for its sender. Each read of a chunk has a deadline. When the deadline has passed, a
watch ends the connection's reading side, which wakes the thread in any server.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RD
from typing import Any, cast

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from functions.http.errors import TooManyRequests
from functions.http.slow import SOCKET, BodyTransfer, DeadlineWatch
from shared.kernel.errors import Rejected, Unavailable

WHOLE = "credits.body_is_read"
"""Key that is set once a body was read to its end."""
CHUNK_BYTES = 16 * 1024
CHUNK_SECONDS_MAX = 5.0
"""Most seconds to wait for a silent sender. Together with the chunk's size, the least rate is 3.2 KB/s."""
BODY_SECONDS_MAX = 60.0
PATIENCE_SECONDS = 1.0
"""Seconds after which the slowest body gives up its place, if every place is taken."""
WAIT_SECONDS = 0.2
"""Most seconds that a caller with many bodies under way waits for a place. Most bodies are read within milliseconds."""
DRAIN_SECONDS_MAX = 2.0
DRAIN_BYTES_MAX = 32 * 1024 * 1024
"""Most bytes of a refused body that are read before the answer. Proxies fail if the answer comes while they send."""
RETRY_AFTER_MS = 1_000


class BodyTooSlow(Rejected):
    """The body did not come fast enough."""

    code = "body_too_slow"

    def __init__(self) -> None:
        super().__init__(
            f"The body came too slowly: send at least {CHUNK_BYTES} bytes every {CHUNK_SECONDS_MAX:.0f} seconds,"
            f" and all of it within {BODY_SECONDS_MAX:.0f}."
        )


class InstanceBusy(Unavailable):
    """Every place of this instance for reading bodies is taken."""

    code = "instance_busy"

    def __init__(self) -> None:
        super().__init__("Too many requests are being received right now; send yours again.")


class Uploads:
    """Places for bodies that are being read: a part of the threads, of which one caller gets at most half.

    While places are free, further bodies of a caller may wait, so that a burst of quick bodies is not refused.
    """

    def __init__(self, threads: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._places_max = max(1, threads // 4)
        self._caller_max = max(1, self._places_max // 2)
        self._drains = threading.BoundedSemaphore(max(1, threads // 16))
        self._monotonic = monotonic
        self._freed = threading.Condition()
        self._taken: set[BodyTransfer] = set()
        self._waiting = 0
        self._watch = DeadlineWatch(monotonic)

    def receive(self, request: Request, bytes_max: int, caller: str) -> bytes:
        """Return the body unchanged.

        Raises RequestEntityTooLarge, BodyTooSlow, TooManyRequests, InstanceBusy, and ClientDisconnected for a body that
        ends before its length.
        """
        # One more than a body may have: a chunked one is cut there, and seen to be too large.
        request.max_content_length = bytes_max + 1
        length = request.content_length or 0
        if length > bytes_max:
            raise RequestEntityTooLarge
        if not length and not has_body(request):
            return b""
        with self._place(request, caller) as place:
            raw = self._read(request.stream, place, bytes_max + 1)
        if len(raw) > bytes_max:
            raise RequestEntityTooLarge
        is_whole = 0 < length == len(raw)
        if place.is_cut and not is_whole:
            raise BodyTooSlow
        if len(raw) < length:
            raise ClientDisconnected
        request.environ[WHOLE] = True
        return raw

    def drain(self, request: Request) -> bool:
        """Read the rest of the body, for a short while. Return True if nothing is left."""
        if not has_body(request) or WHOLE in request.environ:
            return True
        connection = request.environ.get(SOCKET)
        if not self._drains.acquire(blocking=False):
            return False
        now = self._monotonic()
        place = BodyTransfer(connection, "", now + DRAIN_SECONDS_MAX, now, direction=SHUT_RD)
        try:
            self._watch_over(place)
            return _drained(request) and not place.is_cut
        finally:
            place.is_over = True
            self._drains.release()

    def _read(self, stream: Any, place: BodyTransfer, bytes_max: int) -> bytes:
        chunks, left = list[bytes](), bytes_max
        with suppress(OSError, ClientDisconnected):
            while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
                chunks.append(chunk)
                left -= len(chunk)
                place.since = self._monotonic()
                self._watch_over(place)
        return b"".join(chunks)

    @contextmanager
    def _place(self, request: Request, caller: str) -> Iterator[BodyTransfer]:
        now = self._monotonic()
        place = BodyTransfer(request.environ.get(SOCKET), caller, now + BODY_SECONDS_MAX, now, direction=SHUT_RD)
        self._take(place)
        try:
            self._watch_over(place)
            yield place
        finally:
            place.is_over = True
            with self._freed:
                self._taken.discard(place)
                self._freed.notify_all()

    def _take(self, place: BodyTransfer) -> None:
        """Take a place, or the place of the slowest. A caller with many bodies under way gives up one of those.

        The threads that read and the threads that wait are together no more than the places, but for WAIT_SECONDS.
        """
        with self._freed:
            refusal = self._refusal(place)
            if refusal is not None and len(self._taken) + self._waiting < self._places_max:
                refusal = self._refusal_after_waiting(place)
            if refusal is not None:
                raise refusal
            self._taken.add(place)

    def _refusal_after_waiting(self, place: BodyTransfer) -> TooManyRequests | InstanceBusy | None:
        """Wait for a place, at most WAIT_SECONDS, and return the error if there is still no place, else None."""
        self._waiting += 1
        try:
            self._freed.wait_for(lambda: self._refusal(place) is None, WAIT_SECONDS)
        finally:
            self._waiting -= 1
        return self._refusal(place)

    def _refusal(self, place: BodyTransfer) -> TooManyRequests | InstanceBusy | None:
        """Return the error if there is no place and nobody gives up a place, else None."""
        own = [taken for taken in self._taken if taken.caller == place.caller]
        if len(own) >= self._caller_max and not self._make_room(own):
            return TooManyRequests(retry_after_ms=RETRY_AFTER_MS)
        if len(self._taken) >= self._places_max and not self._make_room(self._taken):
            return InstanceBusy()
        return None

    def _make_room(self, among: "set[BodyTransfer] | list[BodyTransfer]") -> bool:
        slowest = min(among, key=lambda taken: taken.since)
        if self._monotonic() - slowest.since <= PATIENCE_SECONDS:
            return False
        slowest.cut()
        self._taken.discard(slowest)
        return True

    def _watch_over(self, place: BodyTransfer) -> None:
        if place.connection is not None:
            self._watch.expect(place, min(place.ends_at, self._monotonic() + CHUNK_SECONDS_MAX))


def has_body(request: Request) -> bool:
    """Return True if the client announced a body, by length or in chunks."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _drained(request: Request) -> bool:
    """Read to the end of the body. Return False if the body did not come, or exceeds the limit of reading."""
    raw = cast("Any", request.environ["wsgi.input"])
    is_terminated = "wsgi.input_terminated" in request.environ
    left = DRAIN_BYTES_MAX if is_terminated else min(DRAIN_BYTES_MAX, request.content_length or 0)
    try:
        while left > 0 and (chunk := raw.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
    except (OSError, ClientDisconnected):
        return False
    return left > 0 or not is_terminated
