"""Pub/Sub as the publisher: in order per key, and done once the broker has every message."""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.types import PubsubMessage

from shared.kernel.errors import Rejected, Unavailable
from shared.kernel.events import TopicMessage

PUBLISH_TIMEOUT_SECONDS = 10.0
ATTEMPT_TIMEOUT_SECONDS = 5.0
REQUEST_MESSAGES_MAX = 1_000
REQUEST_BYTES_MAX = 9_000_000
MESSAGE_BYTES_MAX = 1_000_000
KEYS_AT_ONCE = 8
EMULATOR_VARIABLE = "PUBSUB_EMULATOR_HOST"

RETRIED = (
    exceptions.Aborted,
    exceptions.DeadlineExceeded,
    exceptions.InternalServerError,
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
    exceptions.Unknown,
)


class PublishFailed(Unavailable):
    """Failure to confirm all messages; publish all of them again."""

    code = "publish_failed"

    def __init__(self) -> None:
        super().__init__("The messages could not be published for now.")


class MessageRejected(Rejected):
    """Message that the broker will never accept."""

    code = "message_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The message cannot be published: {reason}.")


class PubSubPublisher:
    """Publisher with one connection per process, made at its first use.

    If publishing failed, publishing again may repeat messages.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._emulator = os.environ.get(EMULATOR_VARIABLE)
        self._lock = threading.Lock()
        self._client: Any = None

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """Return once the broker has stored every message; see `Publisher.publish`.

        Requests of one key are sent in sequence, different keys in parallel.

        Raises PublishFailed, and MessageRejected before anything is sent.
        """
        groups: dict[tuple[str, str], list[PubsubMessage]] = {}
        for message in messages:
            groups.setdefault((message.topic, message.ordering_key), []).append(_wire(message))
        if not groups:
            return
        with ThreadPoolExecutor(max_workers=min(KEYS_AT_ONCE, len(groups))) as pool:
            sent = [pool.submit(self._publish_in_order, topic, group) for (topic, _), group in groups.items()]
        for each in sent:
            each.result()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._client is not None:
                self._client.transport.close()
                self._client = None

    def _publish_in_order(self, topic: str, messages: list[PubsubMessage]) -> None:
        path = f"projects/{self._project}/topics/{topic}"
        for request in _requests(messages):
            try:
                self._send(path, request)
            except exceptions.NotFound as error:
                if not self._emulator:
                    raise PublishFailed from error
                self._create_topic(path)
                self._send(path, request)

    def _send(self, path: str, messages: list[PubsubMessage]) -> None:
        retry = Retry(predicate=if_exception_type(*RETRIED), initial=0.1, maximum=1.0, timeout=PUBLISH_TIMEOUT_SECONDS)
        try:
            self._connected().publish(topic=path, messages=messages, retry=retry, timeout=ATTEMPT_TIMEOUT_SECONDS)
        except exceptions.InvalidArgument as error:
            raise MessageRejected("the broker says that it is not valid") from error
        except exceptions.NotFound:
            raise
        except exceptions.GoogleAPIError as error:
            raise PublishFailed from error

    def _create_topic(self, path: str) -> None:
        """Create the topic on the emulator. In production the deployment creates topics. Raises PublishFailed."""
        try:
            self._connected().create_topic(name=path, retry=None, timeout=ATTEMPT_TIMEOUT_SECONDS)
        except exceptions.AlreadyExists:
            return
        except exceptions.GoogleAPIError as error:
            raise PublishFailed from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _emulator_client(self._emulator) if self._emulator else PublisherClient()
            return self._client


def _emulator_client(host: str) -> PublisherClient:
    return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(host)))


def _wire(message: TopicMessage) -> PubsubMessage:
    data = json.dumps(message.data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    if len(data) > MESSAGE_BYTES_MAX:
        raise MessageRejected(f"it is larger than {MESSAGE_BYTES_MAX} bytes")
    return PubsubMessage(data=data, ordering_key=message.ordering_key)


def _requests(messages: list[PubsubMessage]) -> Iterator[list[PubsubMessage]]:
    """Cut the messages, in order, into requests within the broker's limits."""
    request: list[PubsubMessage] = []
    size = 0
    for message in messages:
        if request and (len(request) == REQUEST_MESSAGES_MAX or size + len(message.data) > REQUEST_BYTES_MAX):
            yield request
            request, size = [], 0
        request.append(message)
        size += len(message.data)
    yield request
