"""Parts for operators."""

from typing import TYPE_CHECKING

from shared.bootstrap.models import ModelParts
from shared.bootstrap.parts import part
from shared.bootstrap.payments import PaymentParts

if TYPE_CHECKING:
    from shared.sagas.operators import Operators
    from shared.sagas.payment_operators import PaymentOperators
    from shared.sagas.payment_replays import PaymentReplays


class OperatorParts(ModelParts, PaymentParts):
    """Parts for operators' acts on accounts and payments."""

    @part
    def operators(self) -> "Operators":
        """Build the service for operators' acts on users and accounts."""
        from shared.sagas.operators import Operators

        return Operators(self.identity, self.profiles, self.ledger, self.audit, self.catalogue.put)

    @part
    def payment_operators(self) -> "PaymentOperators":
        """Build the service for operators' acts on payments."""
        from shared.sagas.payment_operators import PaymentOperators

        return PaymentOperators(self.operators, self.audit, self.packages, self.payments, self.refunds, self.settlement)

    @part
    def payment_replays(self) -> "PaymentReplays":
        """Build the command-line service that retries payments and notices that wait for a person."""
        from shared.sagas.payment_replays import PaymentReplays

        return PaymentReplays(self.audit, self.payments, self.settlement, self.inbox, self.payment_inbox)
