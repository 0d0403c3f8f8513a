"""Payment by an agent (x402): offer credits, take a signed authorization, and bring account and chain in step.

The payment is named by token, payer and nonce, so the same header pays once. One commit stores the payment, the order
at the address, and the key's cap, before anything is sent. From then on the chain is the truth, not the facilitator's
answer.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shared.kernel.clock import SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Create, Documents, OutcomeUnknown, PreconditionFailed, Put
from shared.kernel.errors import Conflict, IdempotencyMismatch, Rejected, Unavailable
from shared.kernel.events import log
from shared.kernel.ids import Uid, fingerprint
from shared.ledger.ledger import Ledger
from shared.payments.chains.addresses import AddressRecord, address_path, from_data, to_data
from shared.payments.chains.agent_wallet import (
    AgentWallet,
    KeyTopUps,
    TopUpCapReached,
    wallet_data,
    wallet_from,
    wallet_path,
)
from shared.payments.chains.authorizations import Authorization, AuthorizedOrder, payment_id_of
from shared.payments.chains.authorized_claims import (
    ORDER_REF,
    SMALL_CENTS,
    is_payment_on_its_way,
    undecided,
    with_order,
)
from shared.payments.chains.claims import exact_text
from shared.payments.chains.quote import Quote
from shared.payments.chains.seen import TRANSACTION_REF, UNPAID
from shared.payments.chains.tiers import usual_wait_seconds
from shared.payments.chains.x402 import (
    CreditOffer,
    PaymentInvalid,
    SignedPayment,
    caip2,
    require_valid,
    response_of,
    signed_payment,
)
from shared.payments.payment import DEPOSIT, Payment, Terms
from shared.payments.store import Payments, fields_of, saga_path, view_of
from shared.sagas.engine.leases import FREE
from shared.sagas.payments.agent_offers import AgentOffers
from shared.sagas.payments.agent_wallets import AgentWallets
from shared.sagas.payments.authorization_checks import AuthorizationChecks
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.purchase_places import require_open_account
from shared.sagas.payments.settlement import Settlement
from shared.users.principal import KeyUse
from shared.users.spend_cap import SpendCap, window

OPEN_MAX = 20
"""Most payments of one user's agents that are not decided."""
WAITING_MAX = 20
"""Most calls of an instance that wait for their payments, so that others find a free thread."""
CREATE_ATTEMPTS_MAX = 8
WAIT_SECONDS = 25.0
"""Time for which a call waits until the payment counts. Small payments count in their first block."""
REFUSED_SECONDS = 3.0
"""Time for which the chain is asked although the facilitator says that no coins moved."""
PAUSES = (0.2, 0.3, 0.5, 1.0)
NEXT_LOOK: Millis = 15 * SECOND
OTHER_ADDRESS = "it is for another address than the one offered now"


class TopUpUnderWay(Unavailable):
    """Error for a payment that is on its way to the chain. The same request with the same header may be sent again."""

    code = "top_up_under_way"

    def __init__(self) -> None:
        super().__init__("The payment is on its way. Send the same request again shortly; nothing is paid twice.")


class TopUpFailed(Rejected):
    """Error for a payment whose coins did not arrive."""

    code = "top_up_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The payment did not arrive: {reason}.", reason=reason)


class TopUpUnderReview(Conflict):
    """Error for a payment whose coins an operator must look at, as after coins of a listed sender."""

    code = "top_up_under_review"

    def __init__(self) -> None:
        super().__init__("The payment has come, and an operator looks at the coins first. Do not pay again.")


class TooManyTopUps(Unavailable):
    """Error for a user with `OPEN_MAX` payments of agents under way."""

    code = "too_many_top_ups"

    def __init__(self) -> None:
        super().__init__("Too many payments of this account are under way. Try again shortly.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRequest:
    """Signed payment of a caller. `key` is None for a user in person. `call` names the call that the payment is for."""

    uid: Uid
    key: KeyUse | None
    header: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Payment of a request, and `failure`: why no coins came, or "" if the credits are there."""

    payment: Payment
    signed: SignedPayment
    failure: str

    @property
    def response(self) -> dict[str, object]:
        """Return the content of `PAYMENT-RESPONSE`."""
        transaction = self.payment.refs.get(TRANSACTION_REF, "")
        return response_of(self.signed.network, self.signed.authorization, transaction, self.failure)

    @property
    def is_used(self) -> bool:
        """Return True if the authorization was used before: the coins may be credits by another way."""
        return self.failure == UNPAID


class AgentPayments:
    """Offers to agents, and their payments. Safe to call from many places at once: the same header pays once."""

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        wallets: AgentWallets,
        offers: AgentOffers,
        checks: AuthorizationChecks,
        settlement: Callable[[], Settlement],
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._payments = Payments(documents)
        self._wallets = wallets
        self._offers = offers
        self._checks = checks
        self._settlement = settlement
        self._clock = clock
        self._waiting = threading.Semaphore(WAITING_MAX)

    def offers_for_call(self, uid: Uid, key: KeyUse | None) -> Sequence[CreditOffer]:
        """Return the offers to a caller who lacks credits; see `offers`.

        Raises TopUpUnderWay if a payment of the user is on its way: nobody shall pay again for what is paid.
        """
        address = self._wallets.address(uid)
        if address is not None and is_payment_on_its_way(address, self._clock.now()):
            raise TopUpUnderWay
        return self.offers(uid, key)

    def offers(self, uid: Uid, key: KeyUse | None) -> Sequence[CreditOffer]:
        """Return the offers to a user, those that the key's cap allows. Takes an address at the user's first call."""
        wallet = self._wallets.wallet(uid)
        left = self._left(wallet, key)
        found = self._offers.offers(wallet.address)
        return [each for each in found if left is None or each.credits <= left]

    def pay(self, asked: TopUpRequest) -> TopUp:
        """Take a signed payment, and return once it counts or cannot. May be repeated: the same header pays once.

        Raises PaymentMalformed, PaymentInvalid, TopUpCapReached, TooManyTopUps, TopUpUnderWay, TopUpUnderReview,
        AccountFrozen, AccountClosed, IdempotencyMismatch for a header that was sent with another call, ChainUnavailable
        and PaymentBusy.
        """
        signed = signed_payment(asked.header)
        payment_id = self._id_of(signed)
        known = self._payments.find(payment_id)
        if known is None:
            require_open_account(self._ledger, asked.uid)
            known = self._begun(asked, signed, payment_id)
        if known.uid != asked.uid or known.fingerprint != _fingerprint(asked, signed):
            raise IdempotencyMismatch
        if not self._waiting.acquire(blocking=False):
            raise TopUpUnderWay
        try:
            return self._settled(known, signed)
        finally:
            self._waiting.release()

    # Begin -----------------------------------------------------------------------------------------------------------

    def _id_of(self, signed: SignedPayment) -> str:
        """Return the id of the payment. Raises PaymentInvalid for a network or token that is not listed."""
        network, asset = self._checks.token(signed.network, signed.asset)
        return payment_id_of(network.name, asset.contract, signed.authorization.payer, signed.authorization.nonce)

    def _begun(self, asked: TopUpRequest, signed: SignedPayment, payment_id: str) -> Payment:
        """Check the signed payment, and store the payment with the address in one commit.

        A user who was never offered anything has no address, and gets none here.
        """
        require_valid(signed.authorization, self._clock.now())
        if self._wallets.read(asked.uid) is None:
            raise PaymentInvalid(OTHER_ADDRESS)
        for _ in range(CREATE_ATTEMPTS_MAX):
            wallet = self._wallets.wallet(asked.uid)
            offer = self._offer_for(wallet, signed)
            self._checks.require_payable(offer, signed.authorization)
            try:
                return self._created(asked, signed, offer, payment_id)
            except (PreconditionFailed, OutcomeUnknown):
                known = self._payments.find(payment_id)
                if known is not None:
                    return known
        raise PaymentBusy

    def _offer_for(self, wallet: AgentWallet, signed: SignedPayment) -> CreditOffer:
        """Return the largest offer that the signed value pays: of several, the one that the client has accepted.

        Raises PaymentInvalid.
        """
        content = signed.authorization
        if content.receiver != wallet.address.lower():
            raise PaymentInvalid(OTHER_ADDRESS)
        fitting = [
            each
            for each in self._offers.offers(wallet.address)
            if (caip2(each.network), each.asset.contract.lower()) == (signed.network, signed.asset)
            and each.due <= content.value
        ]
        if not fitting:
            raise PaymentInvalid("it is less than the smallest offer, or this coin is not taken now")
        return max(fitting, key=lambda each: (each.due, each.package_id == signed.package, bool(each.package)))

    def _created(self, asked: TopUpRequest, signed: SignedPayment, offer: CreditOffer, payment_id: str) -> Payment:
        """Store payment, order and cap in one commit. Raises PreconditionFailed, TooManyTopUps, TopUpCapReached."""
        found = self._wallets.read(asked.uid)
        wallet = None if found is None else wallet_from(found.data)
        document = None if wallet is None else self._documents.get(address_path("evm", wallet.index))
        if found is None or wallet is None or document is None or wallet.address != offer.receiver:
            raise PreconditionFailed("The user's address has changed.")
        record = from_data(document.data)
        if len(undecided(record)) >= OPEN_MAX:
            raise TooManyTopUps
        payment = self._agreed(asked, signed, offer, payment_id, record)
        order = _order(payment, offer, signed.authorization, self._clock.now())
        now, due_at = self._clock.now(), to_datetime(self._clock.now() + NEXT_LOOK)
        after = replace(with_order(record, order), due_at=now + NEXT_LOOK)
        counted = self._counted(wallet, asked.key, payment.id, _credits_for(offer, signed.authorization.value))
        self._documents.commit(
            [
                Create(saga_path(payment.id), {**fields_of(payment), "saga": None, "due_at": due_at, "lease": FREE}),
                view_of(payment, now),
                Put(document.path, to_data(after), document.version),
                Put(wallet_path(asked.uid), wallet_data(counted), found.version),
            ]
        )
        log("top_up_begun", payment=payment.id, network=offer.network.name, asset=offer.asset.name)
        return payment

    def _agreed(
        self, asked: TopUpRequest, signed: SignedPayment, offer: CreditOffer, payment_id: str, record: AddressRecord
    ) -> Payment:
        """Return the payment on the offer's terms. The authorization's end is the payment's."""
        now, ends_at = self._clock.now(), signed.authorization.valid_before * SECOND
        refs = {"address": record.address, "index": str(record.index), "network": offer.network.name}
        return Payment(
            id=payment_id,
            uid=asked.uid,
            provider="evm",
            flow="intent",
            terms=Terms(
                package=offer.package or DEPOSIT,
                title=offer.title,
                price=offer.price,
                credits=offer.credits,
                bonus=offer.bonus,
                bonus_days=offer.bonus_days,
            ),
            fingerprint=_fingerprint(asked, signed),
            created_at=now,
            expires_at=ends_at,
            refs={**refs, "asset": offer.asset.name, ORDER_REF: payment_id},
            is_opened=True,
            quote=_quote(offer, record, now, ends_at),
        )

    # The key's cap ---------------------------------------------------------------------------------------------------

    def _left(self, wallet: AgentWallet, key: KeyUse | None) -> int | None:
        """Return the µcr that a key may still buy in this window; None for a user in person."""
        if key is None:
            return None
        if key.cap is None:
            return 0
        return max(0, key.cap.amount - self._top_ups(wallet, key.id, key.cap).total)

    def _counted(self, wallet: AgentWallet, key: KeyUse | None, payment_id: str, credits_: int) -> AgentWallet:
        """Return the wallet with a payment counted against the key's cap. Raises TopUpCapReached."""
        if key is None:
            return wallet
        if key.cap is None:
            raise TopUpCapReached(0)
        top_ups = self._top_ups(wallet, key.id, key.cap)
        return wallet.with_key(key.id, top_ups.added(payment_id, credits_, key.cap.amount))

    def _top_ups(self, wallet: AgentWallet, key_id: str, cap: SpendCap) -> KeyTopUps:
        """Return the key's top-ups in this window, without payments that came to nothing."""
        top_ups = wallet.key(key_id, window(cap.period, self._clock.now()).name)
        known = self._payments.among(list(top_ups.open))
        paid = {name for name, each in known.items() if each.applied.is_granted}
        unpaid = {name for name, each in known.items() if name not in paid and each.seen.stage == "expired"}
        return top_ups.decided(paid, unpaid)

    # Settle ----------------------------------------------------------------------------------------------------------

    def _settled(self, payment: Payment, signed: SignedPayment) -> TopUp:
        """Settle until the credits are there, or nothing can come.

        Raises TopUpUnderReview, and TopUpUnderWay after `WAIT_SECONDS`.
        """
        began, turn = self._clock.monotonic(), 0
        while True:
            payment = self._settlement().settle(payment.id)
            waited = self._clock.monotonic() - began
            if payment.applied.is_granted:
                return TopUp(payment=payment, signed=signed, failure="")
            if payment.problem:
                raise TopUpUnderReview
            if failure := _failure(payment, waited):
                return TopUp(payment=payment, signed=signed, failure=failure)
            if waited >= WAIT_SECONDS:
                raise TopUpUnderWay
            self._clock.wait(PAUSES[min(turn, len(PAUSES) - 1)])
            turn += 1


def _failure(payment: Payment, waited: float) -> str:
    """Return why no coins came; "" while they may come. After a refusal the chain is asked a little longer."""
    seen = payment.seen
    if seen.stage == "expired":
        return seen.failure or "the authorization has ended"
    if seen.stage == "failed" and waited >= REFUSED_SECONDS:
        return seen.failure or "refused"
    return ""


def _fingerprint(asked: TopUpRequest, signed: SignedPayment) -> str:
    """Return the fingerprint of a payment: the signature, and the call that the payment is for."""
    return fingerprint(f"{signed.authorization.signature}\n{asked.call}")


def _credits_for(offer: CreditOffer, value: int) -> int:
    """Return the µcr that signed coins buy, without a gift: coins beyond the offer become credits, too."""
    return offer.credits * (offer.price.minor * value // offer.due) // offer.price.minor


def _order(payment: Payment, offer: CreditOffer, signed: Authorization, now: Millis) -> AuthorizedOrder:
    """Return the order of a payment, as the address remembers the order."""
    return AuthorizedOrder(
        payment=payment.id,
        network=offer.network.name,
        asset=offer.asset.name,
        contract=offer.asset.contract,
        domain=offer.domain,
        authorization=signed,
        due=offer.due,
        price=offer.price,
        rate=offer.rate,
        at=now,
    )


def _quote(offer: CreditOffer, record: AddressRecord, now: Millis, ends_at: Millis) -> Quote:
    """Return the quote of a payment: small payments count in their first block, others as on the payer's page."""
    tier = offer.network.tiers[0]
    is_small = offer.price.minor <= SMALL_CENTS
    wait = round(offer.network.block_seconds) if is_small else usual_wait_seconds(offer.network, tier)
    depth = tier.depth if isinstance(tier.depth, int) else None
    return Quote(
        network=offer.network.name,
        asset=offer.asset.name,
        decimals=offer.asset.decimals,
        address=record.address,
        index=record.index,
        due=offer.due,
        rate=exact_text(offer.rate),
        sources=offer.sources,
        quoted_at=now,
        locked_until=ends_at,
        network_title=offer.network.title,
        confirmations=1 if is_small else depth,
        wait_seconds=wait,
    )
