"""Parts for operators."""

from typing import TYPE_CHECKING

from shared.bootstrap.models import ModelParts
from shared.bootstrap.parts import part
from shared.bootstrap.payments import PaymentParts

if TYPE_CHECKING:
    from shared.sagas.accounts.operators import Operators
    from shared.sagas.payments.operators import PaymentOperators
    from shared.sagas.payments.replays import PaymentReplays


class OperatorParts(ModelParts, PaymentParts):
    """Parts for operators' acts on accounts and payments."""

    @part
    def operators(self) -> "Operators":
        """Build the service for operators' acts on users and accounts."""
        from shared.sagas.accounts.operators import Operators

        return Operators(self.identity, self.profiles, self.ledger, self.audit, self.catalogue.put)

    @part
    def payment_operators(self) -> "PaymentOperators":
        """Build the service for operators' acts on payments."""
        from shared.sagas.payments.operators import PaymentOperators
        from shared.users.operator_acts import AdminCheck

        return PaymentOperators(
            AdminCheck(self.identity), self.audit, self.packages, self.payments, self.refunds, self.settlement
        )

    @part
    def payment_replays(self) -> "PaymentReplays":
        """Build the command-line service that retries payments and notices that wait for a person."""
        from shared.sagas.payments.replays import PaymentReplays

        return PaymentReplays(self.audit, self.payments, self.settlement, self.inbox, self.payment_inbox)
