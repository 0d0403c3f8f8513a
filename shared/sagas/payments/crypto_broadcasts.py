"""Transactions of a payer's wallet: made unsigned, and passed on signed, once and for this payment only.

A transaction is noted in `crypto_broadcasts/{payment}` before it is sent. So the same transaction is passed on as often
as the caller asks, and another one only while the first can never pay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, cast

from shared.kernel.clock import Clock
from shared.kernel.documents import Create, Document, Documents, PreconditionFailed, Put, Value
from shared.kernel.errors import DomainError, InvalidValue, Unavailable
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.payments.chains.amounts import CENTS_PER_DOLLAR, DOLLARS, usd_of
from shared.payments.chains.networks import Network
from shared.payments.chains.payer import is_payable, phase_of
from shared.payments.chains.ports import AssetName, Chain, ChainRefused, ChainUnavailable, NetworkName, Wallets
from shared.payments.chains.prices import Rates
from shared.payments.chains.quote import Quote
from shared.payments.chains.transactions import (
    Cost,
    NothingToPay,
    SentTransaction,
    SignedTransaction,
    TransactionUnderWay,
    WantedTransfer,
    cost_of,
    holding_up,
    lacking,
    raw_bytes,
    require_transfer,
    unsigned,
)
from shared.payments.chains.view import crypto_view
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment, quote_of, status_of
from shared.payments.store import PaymentNotFound, Payments

SENT_MAX = 20
"""Most transactions that are noted of one payment: replacements with higher fees, and ones that came to nothing."""
ADDRESS_DIGITS = 40
NOTE_ATTEMPTS_MAX = 3


class TooManyTransactions(Unavailable):
    """Refusal of a transaction for a payment for which very many were sent already."""

    code = "too_many_transactions"

    def __init__(self) -> None:
        super().__init__("Very many transactions were sent for this payment. Pay from your wallet by itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTransaction:
    """Unsigned transaction with the most that it costs.

    `lacks` is the asset of which the payer has too little; None if the payer can afford amount and fee.
    """

    transaction: Mapping[str, str]
    wanted: WantedTransfer
    cost: Cost
    fee_value: Fiat | None
    lacks: AssetName | None


class CryptoBroadcasts:
    """Service for the transactions of payers' wallets. Only EVM networks have such wallets."""

    def __init__(
        self,
        *,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        follow: Callable[[str], None],
        rates: Rates,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._networks = networks
        self._chains = chains
        self._follow = follow
        self._rates = rates
        self._clock = clock

    def prepare(self, payment_id: str, uid: Uid, sender: str) -> PreparedTransaction:
        """Return the transaction by which `sender` pays the missing amount, for a wallet to sign.

        Raises InvalidValue, PaymentNotFound, NothingToPay, ChainUnavailable, and ChainRefused if the transaction would
        fail though the payer has enough.
        """
        require_address(sender)
        wanted = self._missing(self._payment(payment_id, uid))
        chain, wallets = self._wallets(wanted.network.name)
        balances = self._balances(chain, wanted, sender)
        gas, refusal = _estimate(wallets, sender, wanted)
        cost = cost_of(wanted, gas, chain.fees())
        lacks = lacking(wanted, cost, balances)
        if refusal is not None and lacks is None:
            raise refusal
        return PreparedTransaction(
            transaction=unsigned(wanted, sender, wallets.nonce(sender), cost),
            wanted=wanted,
            cost=cost,
            fee_value=self._value(wanted.network, cost.fee),
            lacks=lacks,
        )

    def broadcast(self, payment_id: str, uid: Uid, raw: str) -> str:
        """Pass a signed transaction on, if it is exactly this payment, and return the transaction's hash.

        The same transaction may come again, also after an error. Raises InvalidValue, PaymentNotFound, NothingToPay,
        TransactionRefused, TransactionUnderWay, ChainRefused, ChainUnavailable.
        """
        signed_bytes = raw_bytes(raw)
        payment = self._payment(payment_id, uid)
        network = self._network_of(quote_of(payment))
        chain, wallets = self._wallets(network.name)
        signed = wallets.read_signed(signed_bytes)
        if not self._note(payment, network, chain, signed):
            raise TransactionUnderWay(signed.hash)
        return self._passed_on(payment, chain, signed, signed_bytes)

    def _passed_on(self, payment: Payment, chain: Chain, signed: SignedTransaction, raw: bytes) -> str:
        """Send a noted transaction, and look at the address. A refusal by the network ends the note."""
        try:
            sent = chain.broadcast(raw)
        except ChainRefused as refusal:
            log("transaction_refused", "WARNING", payment=payment.id, transaction=signed.hash)
            self._forget(payment, signed)
            raise refusal from None
        log("transaction_sent", payment=payment.id, network=chain.network, transaction=sent)
        try:
            self._follow(payment.id)
        except DomainError as error:
            log("address_not_followed", "WARNING", payment=payment.id, code=error.code)
        return sent

    def _value(self, network: Network, fee: int) -> Fiat | None:
        """Return the value of a fee, rounded up to cents; None if nobody can tell the coin's price now."""
        rate = self._rates.rate(network.name, network.coin.name)
        if rate is None:
            return None
        return Fiat(ceil(usd_of(fee, network.coin.decimals, rate.rate) * CENTS_PER_DOLLAR), DOLLARS)

    # The notes -------------------------------------------------------------------------------------------------------

    def _note(self, payment: Payment, network: Network, chain: Chain, signed: SignedTransaction) -> bool:
        """Note a transaction before it is sent. Return False if others noted theirs at the same time, again and again.

        Raises TransactionRefused, NothingToPay, TransactionUnderWay, TooManyTransactions.
        """
        for _ in range(NOTE_ATTEMPTS_MAX):
            document = self._documents.get(sent_path(payment.id))
            sent = sent_in(document)
            known = next((each for each in sent if each.hash == signed.hash), None)
            if known is not None:
                require_transfer(signed, self._transfer(payment, network, known.amount))
                return True
            wanted = self._wanted_now(payment.id, payment.uid)
            require_transfer(signed, wanted)
            self._require_alone(chain, sent, signed)
            try:
                self._documents.commit([self._noted(payment, document, sent, signed, wanted.amount)])
            except PreconditionFailed:
                continue
            return True
        return False

    def _wanted_now(self, payment_id: str, uid: Uid) -> WantedTransfer:
        """Return the transfer that is missing after a fresh look, so that coins that just came are not paid again."""
        self._follow(payment_id)
        return self._missing(self._payment(payment_id, uid))

    def _require_alone(self, chain: Chain, sent: Sequence[SentTransaction], signed: SignedTransaction) -> None:
        """Raise TransactionUnderWay if an earlier transaction may still pay beside this one."""
        if len(sent) >= SENT_MAX:
            raise TooManyTransactions
        others = [each for each in sent if (each.sender, each.nonce) != (signed.sender, signed.nonce)]
        states = {each.hash: chain.transaction(each.hash) for each in others}
        earlier = holding_up(sent, states, signed, self._clock.now())
        if earlier is not None:
            raise TransactionUnderWay(earlier.hash)

    def _noted(
        self,
        payment: Payment,
        document: Document | None,
        sent: Sequence[SentTransaction],
        signed: SignedTransaction,
        amount: int,
    ) -> Create | Put:
        now = self._clock.now()
        new = SentTransaction(hash=signed.hash, sender=signed.sender, nonce=signed.nonce, amount=amount, at=now)
        data = sent_data([*sent, new])
        path = sent_path(payment.id)
        return Create(path, data) if document is None else Put(path, data, document.version)

    def _forget(self, payment: Payment, signed: SignedTransaction) -> None:
        """Remove the note of a transaction that the network refused, so that another one can be sent."""
        document = self._documents.get(sent_path(payment.id))
        left = [each for each in sent_in(document) if each.hash != signed.hash]
        if document is None:
            return
        try:
            self._documents.commit([Put(document.path, sent_data(left), document.version)])
        except PreconditionFailed:
            log("transaction_still_noted", "WARNING", payment=payment.id)  # It is forgotten after some minutes.

    # The payment -----------------------------------------------------------------------------------------------------

    def _payment(self, payment_id: str, uid: Uid) -> Payment:
        """Return the user's payment with coins. Raises PaymentNotFound."""
        payment = self._payments.get(payment_id)
        if payment.uid != uid or payment.quote is None:
            raise PaymentNotFound
        return payment

    def _missing(self, payment: Payment) -> WantedTransfer:
        """Return the transfer of the missing amount. Raises NothingToPay."""
        network, crypto = self._network_of(quote_of(payment)), crypto_view(payment)
        assert crypto is not None, "a payment with a quote has a view"
        if not is_payable(phase_of(status_of(payment), str(crypto["state"])), crypto) or not payment.is_payable:
            raise NothingToPay
        return self._transfer(payment, network, int(str(crypto["missing_atomic"])))

    def _transfer(self, payment: Payment, network: Network, amount: int) -> WantedTransfer:
        quote = quote_of(payment)
        return WantedTransfer(network=network, asset=quote.asset, address=quote.address, amount=amount)

    def _network_of(self, quote: Quote) -> Network:
        """Return the network on which wallets pay this quote. Raises NothingToPay."""
        network = self._networks.get(quote.network)
        if network is None or network.family != "evm" or quote.asset not in network.assets:
            raise NothingToPay
        return network

    def _wallets(self, name: NetworkName) -> tuple[Chain, Wallets]:
        chain = self._chains().get(name)
        if chain is None:
            raise ChainUnavailable(name, "not_configured")
        return chain, cast("Wallets", chain)

    def _balances(self, chain: Chain, wanted: WantedTransfer, sender: str) -> Mapping[AssetName, int]:
        assets = sorted({wanted.asset, wanted.network.coin.name})
        found = chain.levels(chain.block("latest").hash, [sender], assets)
        if len(found) < len(assets):
            raise ChainUnavailable(wanted.network.name, "no balance")
        return {asset: amount for (_, asset), amount in found.items()}


def require_address(text: str) -> None:
    """Raise InvalidValue if `text` is not the address of an account on an EVM chain."""
    digits = text.removeprefix("0x")
    is_hexadecimal = all(each in "0123456789abcdefABCDEF" for each in digits)
    if not text.startswith("0x") or len(digits) != ADDRESS_DIGITS or not is_hexadecimal:
        raise InvalidValue("from", "must be the address of your wallet: 0x and 40 hexadecimal digits")


def sent_path(payment_id: str) -> str:
    """Return the path of the transactions that were passed on for a payment."""
    return f"crypto_broadcasts/{payment_id}"


def sent_data(sent: Sequence[SentTransaction]) -> dict[str, Value]:
    """Return transactions as stored. Amounts are decimal strings."""
    return {"sent": [{**asdict(each), "amount": str(each.amount)} for each in sent]}


def sent_in(document: Document | None) -> tuple[SentTransaction, ...]:
    """Return the stored transactions; none without a document."""
    if document is None:
        return ()
    stored = cast("Sequence[Mapping[str, Any]]", document.data["sent"])
    return tuple(SentTransaction(**{**each, "amount": int(each["amount"])}) for each in stored)


def _estimate(wallets: Wallets, sender: str, wanted: WantedTransfer) -> tuple[int | None, ChainRefused | None]:
    """Return the gas of the transfer; or None and the refusal, if the transfer would fail now."""
    try:
        return wallets.gas(sender, wanted.call), None
    except ChainRefused as refusal:
        return None, refusal
