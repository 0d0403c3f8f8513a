"""Erasure: the interface of every part that stores personal data, so that a user can leave."""

from dataclasses import dataclass
from typing import Protocol

from shared.kernel.documents import Delete, Documents, Query
from shared.kernel.ids import Uid

ERASE_BATCH = 200


class Erasable(Protocol):
    """Part that stores personal data of users."""

    def erase(self, uid: Uid) -> None:
        """Remove all data of the user. A repeated call, or one after a crash, removes the rest."""
        ...


@dataclass(frozen=True, slots=True)
class Below:
    """Documents of a collection below a path that contains the uid, such as `accounts/{uid}/notes`."""

    documents: Documents
    collection: str

    def erase(self, uid: Uid) -> None:
        """Remove all data of the user; see `Erasable.erase`."""
        _delete_all(self.documents, Query(collection=self.collection.format(uid=uid), limit=ERASE_BATCH))


@dataclass(frozen=True, slots=True)
class AtPath:
    """Document at a path that contains the uid, such as `agent_wallets/{uid}`."""

    documents: Documents
    path: str

    def erase(self, uid: Uid) -> None:
        """Remove the document of the user; see `Erasable.erase`."""
        self.documents.commit([Delete(self.path.format(uid=uid))])


def _delete_all(documents: Documents, query: Query) -> None:
    while found := documents.query(query):
        documents.commit([Delete(document.path) for document in found])
