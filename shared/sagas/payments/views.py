"""Renewal of payments whose documents have the form of an earlier release."""

from datetime import datetime
from typing import cast

from shared.kernel.clock import Clock, from_datetime
from shared.kernel.documents import Documents
from shared.payments.owner_view import is_old
from shared.payments.store import PaymentNotFound, fields_of, payment_in, saga_path, view_of, view_path
from shared.sagas.engine.leases import Leases
from shared.sagas.payments.payment_claims import LEASE_SECONDS


class PaymentViews:
    """Worker that writes stored payments in the present form."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._leases = Leases(documents, clock)

    def renew(self, payment_id: str) -> bool:
        """Write both documents of a payment in the present form, with the same content and times.

        Return False if another worker has the lease: that worker writes the present form. Raises PaymentNotFound if the
        owner's document stands alone.
        """
        document, shown = self._documents.get_all([saga_path(payment_id), view_path(payment_id)])
        if shown is None or not is_old(shown.data):
            return True
        if document is None:
            raise PaymentNotFound
        payment, changed_at = payment_in(document), from_datetime(cast("datetime", shown.data["updated_at"]))
        leased = self._leases.claim_read(document, LEASE_SECONDS)
        if leased is not None:
            leased.free(fields_of(payment), view_of(payment, changed_at))
        return leased is not None
