"""Payouts of refunds: planned with the refund, sent by a person, believed when the chain shows the coins.

The saga of a refund ends when the credits are withdrawn and the payout is stored. Then nothing waits in the saga
engine, and no chain is asked until an operator names a transaction. The payment's truth lists the payout as a pending
refund.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import cast

from shared.kernel.clock import Clock
from shared.kernel.documents import (
    Create,
    Delete,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    Where,
    Write,
)
from shared.kernel.due import DueList, DuePlace
from shared.kernel.errors import Conflict, InvalidValue, Unavailable
from shared.kernel.events import Alerts, log
from shared.payments.chains.addresses import address_path
from shared.payments.chains.addresses import from_data as address_from_data
from shared.payments.chains.networks import Family, Network
from shared.payments.chains.payouts import (
    COLLECTION,
    Payout,
    PayoutIsOut,
    PayoutLook,
    PayoutNotFound,
    PayoutNotShown,
    PlannedPayout,
    TransactionServesAnother,
    called_off,
    coins_for,
    fault_of,
    from_data,
    looked,
    named,
    payout_path,
    settled,
    to_data,
    transaction_path,
)
from shared.payments.chains.ports import AssetName, Block, BlockGone, Chain, ChainUnavailable, NetworkName
from shared.payments.chains.prices import AgreedRate
from shared.payments.chains.quote import LevelClaim
from shared.payments.chains.refund_addresses import RefundAddresses
from shared.payments.chains.sources import agreed
from shared.payments.chains.tiers import tier_for
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.crypto_following import Settles

ATTEMPTS_MAX = 5
PAYOUTS_MAX = 100
"""Most payouts of one payment. Each needs a decision of an operator."""
DUE_PAYOUTS = DueList(collection=COLLECTION)
TRANSACTION = re.compile(r"(0x)?[0-9a-fA-F]{64}", re.ASCII)


class PayoutBusy(Unavailable):
    """Others are changing this refund at the same time."""

    code = "payout_busy"

    def __init__(self) -> None:
        super().__init__("This refund is being worked on; ask again shortly.")


class TooManyPayouts(Conflict):
    """The payment has as many refunds in coins as one payment may have."""

    code = "too_many_payouts"

    def __init__(self) -> None:
        super().__init__(f"One payment can be refunded in {PAYOUTS_MAX} parts at most.", limit=PAYOUTS_MAX)


class CoinsNotFinal(Conflict):
    """The payment's coins have become credits, but their network can still take the coins back."""

    code = "coins_not_final"

    def __init__(self) -> None:
        super().__init__("The network has not made these coins final yet. Refund them once it has: ask again later.")


class Payouts:
    """Payouts of refunds. All acts may come twice, late, and at once: each commits on the version that was read."""

    def __init__(  # the parts of a chain, of a payment, and of the refund's address
        self,
        documents: Documents,
        chains: Callable[[], Mapping[NetworkName, Chain]],
        networks: Mapping[NetworkName, Network],
        addresses: RefundAddresses,
        rate: Callable[[NetworkName, AssetName], AgreedRate],
        settlement: Callable[[], Settles],
        clock: Clock,
        alerts: Alerts,
    ) -> None:
        self._documents = documents
        self._chains = chains
        self._networks = networks
        self._addresses = addresses
        self._rate = rate
        self._settlement = settlement
        self._clock = clock
        self._alerts = alerts

    # Planned ---------------------------------------------------------------------------------------------------------

    def plan(self, payment: Payment, minor: int, address: str = "") -> PlannedPayout:
        """Return the terms of a payout for `minor` units of the payment's price.

        Credited money goes back at the present rate. Coins that never became credits go back as the same coins.
        `address` is named by an operator, for a user who left; "": the address that the user named. Raises
        RefundAddressMissing, CoinsNotFinal, PriceUnavailable, InvalidValue.
        """
        quote, claim = payment.quote, payment.claim
        if quote is None or claim is None:
            raise InvalidValue("amount", "must be of coins that have come")
        if len(self.of_payment(payment.id)) >= PAYOUTS_MAX:
            raise TooManyPayouts
        if not self._are_final(payment, claim):
            raise CoinsNotFinal
        named_ = self._addresses.checked(quote.network, address) if address else self._addresses.counting(payment)
        terms = PlannedPayout(
            network=quote.network,
            asset=quote.asset,
            decimals=quote.decimals,
            address=named_,
            amount=0,
            rate=quote.rate,
            sources=quote.sources,
        )
        if not payment.applied.is_granted:
            amount = (claim.end - claim.begin) * minor // payment.terms.price.minor
            return replace(terms, amount=max(1, amount))
        now = self._rate(quote.network, quote.asset)
        amount = coins_for(Fiat(minor, payment.terms.price.currency), now.rate, quote.decimals)
        return replace(terms, amount=amount, rate=now.text, sources=now.sources)

    def _are_final(self, payment: Payment, claim: LevelClaim) -> bool:
        """Return True if no reorg can take the payment's coins back, so that what we send is not sent for nothing."""
        document = self._documents.get(address_path(payment.provider, claim.index))
        if document is None:
            return False
        return address_from_data(document.data).level((claim.network, claim.asset)).final >= claim.end

    def store(self, payment: Payment, refund: str, terms: PlannedPayout, price: Fiat) -> None:
        """Store a payout that is to be sent, unless that was done before."""
        payout = Payout(
            id=refund,
            payment=payment.id,
            uid=payment.uid,
            family=cast("Family", payment.provider),
            terms=terms,
            price=price,
            asked_at=self._clock.now(),
        )
        try:
            self._documents.commit([Create(payout.path, to_data(payout))])
        except PreconditionFailed:
            if self._documents.get(payout.path) is None:
                raise

    # Read ------------------------------------------------------------------------------------------------------------

    def of_payment(self, payment_id: str) -> Sequence[Payout]:
        """Return the payouts of a payment, the oldest first."""
        query = Query(collection=COLLECTION, where=(Where("payment", "==", payment_id),), limit=PAYOUTS_MAX)
        found = [from_data(document.id, document.data) for document in self._documents.query(query)]
        return sorted(found, key=lambda each: (each.asked_at, each.id))

    def get(self, payment_id: str, refund: str) -> Payout:
        """Return a payout of a payment. Raises PayoutNotFound."""
        return self._read(payment_id, refund)[1]

    # Acts ------------------------------------------------------------------------------------------------------------

    def sent(self, payment_id: str, refund: str, transaction: str) -> Payout:
        """Note the transaction by which an operator sent the coins, and look at the chain.

        Raises PayoutNotFound, InvalidValue, PayoutIsOut if another transaction pays, PayoutNotShown, PayoutBusy,
        TransactionServesAnother, ChainUnavailable, and the errors of `Settlement.settle`.
        """
        for _ in range(ATTEMPTS_MAX):
            document, before = self._read(payment_id, refund)
            payout = named(before, _transaction(before, transaction), self._clock.now())
            look = self._look(payout)
            if look.fault:
                raise PayoutNotShown(look.fault)
            after = looked(payout, look, self._clock.now())
            if self._saved(document, before, after):
                return self._settled(after)
        raise PayoutBusy

    def cancel(self, payment_id: str, refund: str) -> Payout:
        """Call a payout off, so that the credits return. Raises PayoutNotFound, PayoutIsOut, PayoutBusy,
        ChainUnavailable.
        """
        for _ in range(ATTEMPTS_MAX):
            document, before = self._read(payment_id, refund)
            if before.state == "cancelled":
                return self._settled(before)
            look = self._look(before) if before.transaction else PayoutLook(fault="unknown")
            if not look.fault:
                raise PayoutIsOut(before.transaction)
            after = called_off(looked(before, look, self._clock.now()), self._clock.now())
            if self._saved(document, before, after):
                return self._settled(after)
        raise PayoutBusy

    def resume(self, run: JobRun) -> None:
        """Look at the transactions that operators named, until they are final."""
        attempt_due(run, "crypto_payouts", [self._due], lambda payout, _: self.follow(payout.id))

    def _due(self, limit: int, after: DuePlace | None) -> Sequence[Document]:
        return DUE_PAYOUTS.page(self._documents, self._clock.now(), limit, after)

    def follow(self, refund: str) -> None:
        """Look at a payout's transaction once, and bring the payment in step. Raises ChainUnavailable, and the errors
        of `Settlement.settle`.
        """
        for _ in range(ATTEMPTS_MAX):
            document = self._documents.get(payout_path(refund))
            if document is None:
                return
            before = from_data(refund, document.data)
            look = self._look(before) if before.transaction else None
            after = before if look is None else looked(before, look, self._clock.now())
            if self._saved(document, before, after):
                self._warn(before, after)
                self._settled(after)
                return
        raise PayoutBusy

    # Inside ----------------------------------------------------------------------------------------------------------

    def _read(self, payment_id: str, refund: str) -> tuple[Document, Payout]:
        document = self._documents.get(payout_path(refund))
        if document is None or document.data["payment"] != payment_id:
            raise PayoutNotFound
        return document, from_data(refund, document.data)

    def _saved(self, document: Document, before: Payout, after: Payout) -> bool:
        """Commit the change with the claim on the transaction. Return False if others changed the payout meanwhile.

        Raises TransactionServesAnother.
        """
        if after == before:
            return True
        writes: list[Write] = [Put(document.path, to_data(after), document.version)]
        network = after.terms.network
        if after.transaction != before.transaction:
            if after.transaction:
                writes += self._claim(after)
            if before.transaction:
                writes.append(Delete(transaction_path(network, before.transaction)))
        try:
            self._documents.commit(writes)
        except (PreconditionFailed, OutcomeUnknown):
            return False
        log("payout_changed", payout=after.id, payment=after.payment, state=after.state, fault=after.fault)
        return True

    def _claim(self, payout: Payout) -> list[Write]:
        """Return the write by which a transaction serves this refund alone; none if the claim is stored."""
        path = transaction_path(payout.terms.network, payout.transaction)
        owner = self._documents.get(path)
        if owner is None:
            return [Create(path, {"payout": payout.id, "payment": payout.payment})]
        if owner.data["payout"] != payout.id:
            raise TransactionServesAnother
        return []

    def _settled(self, payout: Payout) -> Payout:
        """Bring the payment in step with the payout, and note that. A failure is made up for by the job."""
        if not payout.is_unsettled:
            return payout
        self._settlement().settle(payout.payment)
        document = self._documents.get(payout.path)
        if document is None or from_data(payout.id, document.data) != payout:
            return payout
        after = settled(payout, self._clock.now())
        try:
            self._documents.commit([Put(payout.path, to_data(after), document.version)])
        except (PreconditionFailed, OutcomeUnknown) as error:
            log("payout_not_noted", "WARNING", payout=payout.id, code=error.code)
            return payout
        return after

    def _warn(self, before: Payout, after: Payout) -> None:
        """Tell operators about coins that came back to us, that went out after all, or that do not fit."""
        told = {"payout": after.id, "payment": after.payment, "transaction": before.transaction}
        if before.state in {"seen", "sent"} and after.state == "waiting":
            self._alerts.alert("payout_left_the_chain", **told)
        if before.state == "cancelled" and after.state in {"seen", "sent"}:
            self._alerts.alert("payout_sent_after_all", **told)
        if after.fault and after.fault != before.fault:
            self._alerts.alert("payout_does_not_fit", **told, problem=after.fault)

    def _look(self, payout: Payout) -> PayoutLook:
        """Look at the payout's transaction; two sources must agree if there are two. Raises ChainUnavailable."""
        network, chains = self._networks.get(payout.terms.network), self._chains()
        if network is None or network.name not in chains:
            raise ChainUnavailable(payout.terms.network, "not_configured")
        chain, terms = agreed(chains[network.name]), payout.terms
        try:
            seen = chain.transaction(payout.transaction)
            block = None if seen is None else seen.block
            found = [] if block is None else chain.transfers(terms.address, terms.asset, block.height, block.height)
            fault = fault_of(payout, seen, found)
            if fault or block is None:
                return PayoutLook(fault=fault)
            if chain.block(block.height).hash != block.hash:
                return PayoutLook()
            return self._depth(payout, network, chain, block)
        except BlockGone as error:
            raise ChainUnavailable(network.name, "changing") from error

    def _depth(self, payout: Payout, network: Network, chain: Chain, block: Block) -> PayoutLook:
        """Return whether the block of a payout is deep enough for the value, and final."""
        depth = tier_for(network, Fraction(payout.price.minor, 100)).depth
        head = chain.block("latest")
        deep = chain.block(depth).height if isinstance(depth, str) else head.height - depth + 1
        final = head.height - network.final_depth + 1 if network.final_depth else chain.block("finalized").height
        return PayoutLook(block=block, is_deep=block.height <= deep, is_final=block.height <= min(deep, final))


def _transaction(payout: Payout, text: str) -> str:
    """Return the hash of a transaction in the form of the network. Raises InvalidValue."""
    if not TRANSACTION.fullmatch(text):
        raise InvalidValue("tx", "must be the hash of a transaction: 64 hexadecimal digits")
    digits = text.lower()
    return f"0x{digits.removeprefix('0x')}" if payout.family == "evm" else digits
