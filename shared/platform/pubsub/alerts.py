"""Alerts: a CRITICAL log line, a document that counts, and a message on the topic `alerts` for mail to operators."""

from shared.kernel.alert_book import AlertBook
from shared.kernel.alert_kinds import GOOD_NEWS
from shared.kernel.alert_records import alert_id, bounded, subject_of
from shared.kernel.errors import DomainError
from shared.kernel.events import Field, Publisher, TopicMessage, log

TOPIC = "alerts"


class PublishedAlerts:
    """Alerts as a log line, a document and a message. The log line is written first, since logging cannot fail."""

    def __init__(self, publisher: Publisher, book: AlertBook | None = None) -> None:
        self._publisher = publisher
        self._book = book

    def alert(self, event: str, **fields: Field) -> None:
        """Alert operators now; see `Alerts.alert`. The document is written in another thread."""
        told = bounded(fields)
        log(event, "CRITICAL", **told)
        if event in GOOD_NEWS:
            self.resolve(GOOD_NEWS[event], **fields)
        elif self._book is not None:
            self._book.note(event, fields)
        alert = alert_id(event, subject_of(event, fields))
        try:
            self._publisher.publish([TopicMessage(topic=TOPIC, data={**told, "event": event, "alert": alert})])
        except DomainError as error:
            log("alert_not_published", "ERROR", alert=event, code=error.code)

    def resolve(self, event: str, **fields: Field) -> None:
        """End the alert of a trouble that is over; see `Alerts.resolve`."""
        if self._book is not None:
            self._book.resolve(event, fields)
