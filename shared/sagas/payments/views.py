"""Renewal of payments whose documents have the form of an earlier release."""

from datetime import datetime
from typing import cast

from shared.kernel.clock import Clock, from_datetime
from shared.kernel.documents import Documents
from shared.payments.owner_view import is_old
from shared.payments.store import Payments, fields_of, payment_in, saga_path, view_of, view_path
from shared.sagas.engine.jobs import JobRun
from shared.sagas.engine.leases import Leases
from shared.sagas.payments.settlement import LEASE_SECONDS

PAGE = 50


class PaymentViews:
    """Worker that writes stored payments in the present form.

    Once all payments have this form, a run is one empty query.
    """

    def __init__(self, documents: Documents, clock: Clock, page: int = PAGE) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._leases = Leases(documents, clock)
        self._page = page

    def run(self, run: JobRun) -> None:
        """Write stored payments in the present form, from the run's cursor on.

        A payment that cannot be written does not hold up the others.
        """
        page = self._payments.in_old_form(self._page, after=run.cursor)
        for payment in page:
            if run.is_over():
                return
            run.cursor = payment
            run.attempt("payment_views", payment, self.renew)
        if len(page) < self._page:
            run.cursor = ""

    def renew(self, payment_id: str) -> bool:
        """Write both documents of a payment in the present form, with the same content and times.

        Return False if another worker has the lease: that worker writes the present form.
        """
        document, shown = self._documents.get_all([saga_path(payment_id), view_path(payment_id)])
        if document is None or shown is None or not is_old(shown.data):
            return True
        payment, changed_at = payment_in(document), from_datetime(cast("datetime", shown.data["updated_at"]))
        leased = self._leases.claim_read(document, LEASE_SECONDS)
        if leased is not None:
            leased.free(fields_of(payment), view_of(payment, changed_at))
        return leased is not None
