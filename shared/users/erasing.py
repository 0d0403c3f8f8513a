"""Erasing: what every part that keeps personal data offers, so that a user can leave."""

from dataclasses import dataclass
from typing import Protocol

from shared.kernel.documents import Delete, Documents, Query
from shared.kernel.ids import Uid

ERASE_BATCH = 200


class Erasable(Protocol):
    """A part that keeps something of a user's."""

    def erase(self, uid: Uid) -> None:
        """Remove all of it. Asked again, or after a crash in the middle, it removes what is left."""
        ...


@dataclass(frozen=True, slots=True)
class Below:
    """All documents of a collection below something that is named by the user, such as `accounts/{uid}/notes`."""

    documents: Documents
    collection: str

    def erase(self, uid: Uid) -> None:
        """See `Erasable.erase`."""
        _delete_all(self.documents, Query(collection=self.collection.format(uid=uid), limit=ERASE_BATCH))


def _delete_all(documents: Documents, query: Query) -> None:
    while found := documents.query(query):
        documents.commit([Delete(document.path) for document in found])
