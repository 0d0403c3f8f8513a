"""The parts that operators work with."""

from typing import TYPE_CHECKING

from shared.bootstrap.models import ModelParts
from shared.bootstrap.parts import part
from shared.bootstrap.payments import PaymentParts

if TYPE_CHECKING:
    from shared.sagas.operators import Operators
    from shared.sagas.payment_operators import PaymentOperators
    from shared.sagas.payment_replays import PaymentReplays


class OperatorParts(ModelParts, PaymentParts):
    """What operators may do, about accounts and about payments."""

    @part
    def operators(self) -> "Operators":
        """What operators may do."""
        from shared.sagas.operators import Operators

        return Operators(self.identity, self.profiles, self.ledger, self.audit, self.catalogue.put)

    @part
    def payment_operators(self) -> "PaymentOperators":
        """What operators do about payments."""
        from shared.sagas.payment_operators import PaymentOperators

        return PaymentOperators(self.operators, self.audit, self.packages, self.payments, self.refunds, self.settlement)

    @part
    def payment_replays(self) -> "PaymentReplays":
        """What waits for a person, tried anew."""
        from shared.sagas.payment_replays import PaymentReplays

        return PaymentReplays(self.audit, self.payments, self.settlement, self.inbox, self.payment_inbox)
