"""Alerts over Pub/Sub: a CRITICAL log line, and a message on the topic `alerts` for paging."""

from shared.kernel.errors import DomainError
from shared.kernel.events import Field, Publisher, TopicMessage, log

TOPIC = "alerts"


class PublishedAlerts:
    """Alerts as a log line and a message. The log line is written first, since logging cannot fail."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def alert(self, event: str, **fields: Field) -> None:
        """Alert operators now; see `Alerts.alert`."""
        log(event, "CRITICAL", **fields)
        try:
            self._publisher.publish([TopicMessage(topic=TOPIC, data={**fields, "event": event})])
        except DomainError as error:
            log("alert_not_published", "ERROR", alert=event, code=error.code)
