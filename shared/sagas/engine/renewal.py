"""Renewal of stored documents: each gets its schema version, and the form of this release if the table converts it."""

from collections.abc import Callable, Sequence

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
        return bool(self.move_together([document]))

    def move_together(self, documents: Sequence[Document]) -> frozenset[str]:
        """Write the documents that no worker has, all in one commit or none, and return their paths.

        Raises PreconditionFailed, InvalidWrite, OutcomeUnknown, StoreUnavailable.
        """
        now = self._clock.now()
        free = {each.path: each for each in documents if not is_leased(each.data, now)}
        paths = [path for path in map(self._beside, free) if path is not None and path not in free]
        beside = [each for each in self._documents.get_all(paths) if each is not None] if paths else []
        written = {**free, **{each.path: each for each in beside if self.is_due(each)}}
        if written:
            self._documents.commit([brought_up(each, self._schemas) for each in written.values()])
        return frozenset(free)
