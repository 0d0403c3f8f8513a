"""Client of one OpenAI-compatible provider over HTTP, on connections that can be aborted.

Requests are JSON, answers are objects. Chat, the OpenAI routes, agents and pictures use this client. A provider's words
about a wrong request go to the caller. Refusals of our key, our account or a model's name stay internal, and operators
are alerted.
"""

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.ai.models.end_user import told as told_end_user
from shared.ai.models.profiles import UNKNOWN_PROFILE, UpstreamProfile
from shared.ai.openai.ends import told_words
from shared.ai.openai.passthrough import Json, RequestRefused
from shared.ai.ports import (
    WHOLE_SECONDS_MAX,
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.platform.openai.call_meter import CallMeter
from shared.platform.openai.event_stream import BOM, events, is_end, parsed, told
from shared.platform.openai.fitting import Fitting

if TYPE_CHECKING:
    import httpx2

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Size limit of an answer that is read whole; the largest are embeddings of many texts."""
REFUSAL_BYTES_MAX = 256 * 1024
CHUNK_BYTES = 64 * 1024
FIRST_OF_A_STREAM = frozenset({b":", b"d", b"e", b"i", b"r"})
"""First bytes of the lines of an event: a comment, `data`, `event`, `id`, `retry`."""
STATUS_OF_THE_REQUEST = frozenset({400, 413, 415, 422})
"""Refusals of the request itself, which the caller may read."""
STATUS_OF_A_FIELD = frozenset({400, 422})
STATUS_OURS = frozenset({401, 402, 403, 404})
"""Refusals of the operator's key, account or model name."""
STATUS_OVERLOADED = frozenset({503, 529})
STATUS_RETRY = frozenset({408, 409, 425, 429})
NO_CREDIT_LEFT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes in an answer 429 that waiting does not solve."""
RETRY_AFTER_SECONDS_MAX = 3_600
DRAIN_SECONDS = 0.05
"""Time for reading the rest after the last event, so that the connection can serve the next call."""
ALERT_EVERY_SECONDS = 600.0
MILLIS = 1_000
ONLY_OLDER_END_USER = frozenset({"/embeddings", "/images/generations"})
"""Paths whose requests accept only the older field for an end user."""


class AnswerTooLarge(UpstreamUnavailable):
    """Answer with more bytes than its caller accepts; the rest was not read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The model provider's answer is larger than {most} bytes.", has_begun=True)


@dataclass(slots=True)
class StreamEnd:
    """End of an answer: `is_done` is True once the upstream has said that the answer is complete."""

    is_done: bool = False


class OpenAIUpstream:
    """Client of one provider.

    `end_user_fields` are the fields that name the end user. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        end_user_fields: tuple[str, ...] = (),
        profile: UpstreamProfile = UNKNOWN_PROFILE,
        alerts: Alerts | None = None,
    ) -> None:
        self.base_url = base_url
        self.profile = profile
        self._api_key = api_key
        self._end_user_fields = end_user_fields
        self._fitting = Fitting(profile)
        self._trouble = _Trouble(alerts, base_url)
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def read(
        self, path: str, body: Json, end_user: str = "", end: StreamEnd | None = None, most: int = ANSWER_BYTES_MAX
    ) -> Generator[Json, None, None]:
        """Send a request, and yield the objects of the answer: a stream's events, or one whole object.

        If the upstream refuses a field that this backend added, the request is sent once more without the field; a
        refusal costs nothing. Raises UpstreamUnavailable and its subclasses, RequestRefused, UpstreamRejected.
        """
        import httpx2

        from shared.platform.openai.network import hurry, is_late, is_sent

        model = str(body.get("model"))
        call = CallMeter(model)
        if not body.get("stream"):
            hurry(WHOLE_SECONDS_MAX)
        fields = self._end_user_fields[:1] if path in ONLY_OLDER_END_USER else self._end_user_fields
        sent = self._fitting.fitted(path, told_end_user(body, fields, end_user))
        end = end or StreamEnd()
        try:
            other = yield from self._request_answer(path, sent, end, most, is_last=False)
            if other is not None:
                yield from self._request_answer(path, other, end, most, refused=sent)
            call.outcome = "answered"
        except GeneratorExit:
            call.outcome = "answered" if end.is_done or not body.get("stream") else "left"
            raise
        except (RequestRefused, UpstreamRejected):
            call.outcome = "refused"
            raise
        except (httpx2.HTTPError, httpx2.StreamError, ValueError, RecursionError) as error:
            # Not reached, cut off, or something that is not JSON.
            log("upstream_failed", "WARNING", kind=type(error).__name__, model=model)
            raise (UpstreamTimedOut() if is_late() else UpstreamUnavailable(has_begun=is_sent())) from None
        finally:
            call.end()

    def fetch(self, path: str, body: Json) -> Json:
        """Return the whole answer of a call that is never streamed. Raises as `read` does."""
        return next(self.read(path, body))

    def connected(self) -> "httpx2.Client":
        """Return the client of all calls, so that connections are kept alive between them."""
        with self._lock:
            if self._client is None:
                from shared.platform.openai.network import http_client

                self._client = http_client()
            return self._client

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _request_answer(
        self,
        path: str,
        sent: Json,
        end: StreamEnd,
        most: int,
        *,
        is_last: bool = True,
        refused: Json | None = None,
    ) -> Generator[Json, None, Json | None]:
        """Send one request and yield the answer's objects.

        If the request is refused for a field that is not needed, and `is_last` is False, return a request without the
        field. Else return None. Raises the refusal as an error of our port.
        """
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        content = json.dumps(sent).encode()
        with self.connected().stream("POST", self.base_url + path, content=content, headers=headers) as response:
            if response.status_code == HTTPStatus.OK:
                if refused is not None:
                    self._fitting.remember(path, refused, sent)
                yield from self._answer(response, end, most, str(sent.get("model")))
                return None
            words = _words(response)
            if not is_last and response.status_code in STATUS_OF_A_FIELD:
                other = self._fitting.without(path, sent, words)
                if other is not None:
                    return other
            raise self._refusal(response, words, str(sent.get("model")))

    def _answer(self, response: "httpx2.Response", end: StreamEnd, most: int, model: str) -> Iterator[Json]:
        """Yield the objects of an answer.

        The first byte, not the header, decides if the answer is one object or a stream.
        """
        parts = response.iter_bytes(CHUNK_BYTES) if most < ANSWER_BYTES_MAX else response.iter_bytes()
        head = b""
        for part in parts:
            head += part
            if not BOM.startswith(head) and (head.removeprefix(BOM).strip() or len(head) > CHUNK_BYTES):
                break
        if head.removeprefix(BOM).lstrip()[:1] in FIRST_OF_A_STREAM:
            yield from _streamed(_chained(head, parts), end)
        else:
            yield _object(_whole(head, parts, most), model)
            end.is_done = True

    def _refusal(self, response: "httpx2.Response", words: object, model: str) -> DomainError:
        """Return the error for an HTTP status other than success, and log the status.

        A status that only an operator can mend, such as a wrong API key or an empty account, is also reported as
        trouble.
        """
        status = response.status_code
        log("upstream_refused", "WARNING", status=status, model=model)
        told = told_words(words)
        if status in STATUS_OF_THE_REQUEST:
            return RequestRefused(told)
        is_unpaid = status == HTTPStatus.TOO_MANY_REQUESTS and {told.get("code"), told.get("type")} & NO_CREDIT_LEFT
        if status in STATUS_OURS or is_unpaid:
            self._trouble.tell(status, model)
            return UpstreamMisconfigured()
        wait = _retry_after_ms(response.headers)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return UpstreamBusy(retry_after_ms=wait)
        if status in STATUS_OVERLOADED and wait is not None:
            return UpstreamOverloaded(retry_after_ms=wait)
        is_refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in STATUS_RETRY
        return UpstreamRejected() if is_refused else UpstreamUnavailable()


class _Trouble:
    """Alerts about trouble that only operators can end, at most one per status in ALERT_EVERY_SECONDS."""

    def __init__(self, alerts: Alerts | None, base_url: str) -> None:
        self._alerts = alerts
        self._host = base_url.rsplit("://", maxsplit=1)[-1].split("/", maxsplit=1)[0]
        self._lock = threading.Lock()
        self._told: dict[int, float] = {}

    def tell(self, status: int, model: str) -> None:
        """Alert that the provider refuses our key, our account or this model."""
        from time import monotonic

        with self._lock:
            now = monotonic()
            if now - self._told.get(status, float("-inf")) < ALERT_EVERY_SECONDS:
                return
            self._told[status] = now
        if self._alerts is not None:
            self._alerts.alert("upstream_misconfigured", status=status, model=model, host=self._host)


def _streamed(parts: Iterator[bytes], end: StreamEnd) -> Iterator[Json]:
    """Yield the objects of a stream, and read past its last event, so that the connection stays usable."""
    from shared.platform.openai.network import hurry

    for event in events(parts):
        if is_end(event.data):
            end.is_done = True
            break
        if (raw := told(event)) is not None:
            yield raw
    if end.is_done:
        import httpx2

        hurry(DRAIN_SECONDS)
        with suppress(httpx2.HTTPError, httpx2.StreamError):
            for _ in parts:
                pass


def _chained(head: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from parts


def _whole(head: bytes, parts: Iterator[bytes], most: int) -> bytes:
    read, size = [head], len(head)
    for part in parts:
        read.append(part)
        size += len(part)
        if size > most:
            raise AnswerTooLarge(most)
    return b"".join(read)


def _object(data: bytes, model: str) -> Json:
    """Return the single object of an answer.

    Raises ValueError if the answer is not an object, UpstreamUnavailable for an error with status 200.
    """
    value: Any = parsed(data.removeprefix(BOM))
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("error"):
        value = value[0]
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  # what it is decides nothing: it is no answer
    if value.get("error"):
        log("upstream_failed", "WARNING", kind="error_with_200", model=model)
        raise UpstreamUnavailable(has_begun=True)
    return value


def _words(response: "httpx2.Response") -> object:
    """Return a refusal's body, as JSON or as plain text; "" for a page, or for too long a body."""
    try:
        text = _whole(b"", response.iter_bytes(), REFUSAL_BYTES_MAX)
    except AnswerTooLarge:
        return ""
    try:
        return parsed(text)
    except ValueError:
        plain = text.decode("utf-8", "replace").strip()
        return "" if plain.startswith("<") else plain


def _retry_after_ms(headers: Any) -> int | None:
    """Return the wait in ms that a provider requests; None if the header is missing or invalid.

    The header is a number, or a date as in RFC 9110, 10.2.3. A date in the past means no wait.
    """
    for name, factor in (("retry-after-ms", 1), ("retry-after", MILLIS)):
        told = headers.get(name, "")
        try:
            wait = float(told) * factor
        except ValueError:
            wait = _until(told, headers.get("date", ""))
        if 0 <= wait <= RETRY_AFTER_SECONDS_MAX * MILLIS:
            return int(wait)
    return None


def _until(date: str, now: str) -> float:
    """Return the ms until a date, by the provider's clock where the answer has a date; below 0 for no date."""
    try:
        until = parsedate_to_datetime(date)
    except ValueError:
        return -1
    try:
        began = parsedate_to_datetime(now)
    except ValueError:
        began = datetime.now(UTC)
    if until.tzinfo is None or began.tzinfo is None:
        return -1
    return max(0.0, (until - began).total_seconds() * MILLIS)
