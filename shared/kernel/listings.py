"""Listings of collections that also show missing documents: those that do not exist and have documents below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from shared.kernel.documents import Document, Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPage:
    """Page of a listing, in the order of the ids: documents, and paths of `missing` documents.

    A missing document does not exist and has documents below. `token` is the place of the next page; "" at the end.
    """

    documents: Sequence[Document]
    missing: Sequence[str] = ()
    token: str = ""


class InvalidToken(Exception):
    """Error for a token of a listing that the store does not know. Begin the listing again."""


@runtime_checkable
class Listings(Protocol):
    """Store that lists collections with their missing documents."""

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        """Return the next page of a collection, at most `limit` documents and missing documents.

        Raises InvalidToken if the store does not know the token (any more); StoreUnavailable.
        """
        ...


def list_page(documents: Documents, collection: str, limit: int, token: str = "") -> ListedPage:
    """Return the next page of a collection; see `Listings.listed`."""
    assert isinstance(documents, Listings), "each store that is listed has listings"
    return documents.listed(collection, limit, token)
