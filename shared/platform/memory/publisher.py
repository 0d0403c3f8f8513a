"""Pub/Sub in memory: published messages, in order."""

import json
import threading
from collections.abc import Sequence

from shared.kernel.events import TopicMessage


class MemoryPublisher:
    """Publisher that stores every message. A message that cannot be sent as JSON is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[TopicMessage] = []

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """Store every message, all or none; see `Publisher.publish`."""
        for message in messages:
            json.dumps(message.data)
        with self._lock:
            self._messages.extend(messages)

    def on(self, topic: str) -> list[TopicMessage]:
        """Return the messages on `topic`, oldest first."""
        with self._lock:
            return [message for message in self._messages if message.topic == topic]
