"""Erasure: the interface of every part that stores personal data, so that a user can leave."""

from dataclasses import dataclass
from typing import Protocol

from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Delete, Documents, Query
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.ids import Uid


class Erasable(Protocol):
    """Part that stores personal data of users."""

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Remove the user's data until the deadline. Return True if nothing is left.

        A repeated call, also one after a crash, removes the rest.
        """
        ...


@dataclass(frozen=True, slots=True)
class Below:
    """Documents of a collection below a path that contains the uid, such as `accounts/{uid}/notes`."""

    documents: Documents
    collection: str

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Remove all data of the user; see `Erasable.erase`."""
        query = Query(collection=self.collection.format(uid=uid), limit=ERASE_PAGE)
        return delete_matching(self.documents, query, deadline)


@dataclass(frozen=True, slots=True)
class AtPath:
    """Document at a path that contains the uid, such as `agent_wallets/{uid}`."""

    documents: Documents
    path: str

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Remove the document of the user; see `Erasable.erase`."""
        del deadline
        self.documents.commit([Delete(self.path.format(uid=uid))])
        return True
