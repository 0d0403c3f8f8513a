"""Renewal of stored documents: each gets its schema version, and the form of this release if the table converts it."""

from collections.abc import Callable

from shared.kernel.clock import Clock
from shared.kernel.documents import Document, Documents
from shared.kernel.schemas import Schemas, brought_up, is_behind
from shared.sagas.engine.leases import is_leased


class DocumentRenewal:
    """Moves documents by the table of schemas. `documents` must be the store that opens documents by the same table.

    `beside` returns the path of the document that one commit writes together with the document at the given path, else
    None: such documents have equal versions, and keep them.
    """

    def __init__(
        self, documents: Documents, schemas: Schemas, clock: Clock, beside: Callable[[str], str | None]
    ) -> None:
        self._documents = documents
        self._schemas = schemas
        self._clock = clock
        self._beside = beside

    def is_due(self, document: Document) -> bool:
        """Return True for a document without a number, or of a form that is converted at every read."""
        return is_behind(document, self._schemas)

    def move(self, document: Document) -> bool:
        """Write the document in the form of this release, or return False while a worker has it under a lease.

        Raises PreconditionFailed, OutcomeUnknown, StoreUnavailable.
        """
        if is_leased(document.data, self._clock.now()):
            return False
        path = self._beside(document.path)
        other = None if path is None else self._documents.get(path)
        due = [document] if other is None or not self.is_due(other) else [document, other]
        self._documents.commit([brought_up(each, self._schemas) for each in due])
        return True
