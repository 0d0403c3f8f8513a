"""Errors of calls that an agent pays for (x402)."""

from functions.http.errors import ScopeMissing
from shared.kernel.errors import DomainError, IdempotencyMismatch, Rejected
from shared.ledger.errors import AccountClosed, AccountFrozen, InsufficientCredits
from shared.payments.chains.address_book import AddressesDisagree
from shared.payments.chains.agent_wallet import TopUpCapReached
from shared.payments.chains.indices import IndicesBusy
from shared.payments.chains.ports import ChainUnavailable
from shared.payments.chains.x402 import REQUIRED_HEADER, PaymentInvalid, PaymentMalformed
from shared.sagas.payments.agent_payments import TooManyTopUps, TopUpFailed, TopUpUnderReview, TopUpUnderWay
from shared.sagas.payments.agent_wallets import AgentWalletBusy
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.settlement import ProviderNotConfigured


class PaymentRequired(Rejected):
    """Answer to a caller who asks what credits cost: the offers stand in the header `PAYMENT-REQUIRED`."""

    code = "payment_required"

    def __init__(self) -> None:
        super().__init__(f"Sign an offer of the header {REQUIRED_HEADER}, and send the request again.")


PAYMENT_ERRORS: tuple[type[DomainError], ...] = (
    PaymentMalformed,
    PaymentInvalid,
    TopUpFailed,
    TopUpUnderWay,
    TopUpUnderReview,
    TopUpCapReached,
    TooManyTopUps,
    AccountFrozen,
    AccountClosed,
    ScopeMissing,
    ProviderNotConfigured,
    IdempotencyMismatch,
    AgentWalletBusy,
    AddressesDisagree,
    IndicesBusy,
    ChainUnavailable,
    PaymentBusy,
)
OFFERED: tuple[type[DomainError], ...] = (InsufficientCredits, PaymentRequired, PaymentInvalid, TopUpFailed)
"""Errors that are answered with offers."""
