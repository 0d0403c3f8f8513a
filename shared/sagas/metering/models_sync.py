"""Import of models and prices from a provider's listing: compared first, then written, each write recorded."""

from collections.abc import Mapping
from typing import Any

from shared.ai.models.catalogue import Catalogue
from shared.ai.models.listing import Change, Comparison, compared
from shared.ai.ports import ModelListing
from shared.users.audit import AuditTrail

ACTOR = "command:models-sync"


class ModelsSync:
    """The work of `make models-sync`."""

    def __init__(self, catalogue: Catalogue, listing: ModelListing, audit: AuditTrail) -> None:
        self._catalogue = catalogue
        self._listing = listing
        self._audit = audit

    def compare(
        self, upstream: str, *, is_free_wanted: bool = False, listing: Mapping[str, Any] | None = None
    ) -> Comparison:
        """Return the differences between a listing and our models, and write nothing.

        Without `listing`, fetch the provider's own. Raises UpstreamUnavailable, NotFound.
        """
        listed = self._listing.fetch(upstream) if listing is None else listing
        return compared(listed, self._catalogue.stored(), upstream, is_free_wanted=is_free_wanted)

    def apply(self, change: Change) -> None:
        """Write one model as compared. Raises the errors of `Catalogue.put`."""
        with self._audit.recording(ACTOR, "put_model", change.model_id, reason=None) as act:
            act.before, act.after = self._catalogue.put(change.model_id, change.after)
