"""Transactions of wallets: what is handed out, and what alone is passed on."""

import random

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.errors import DomainError, InvalidValue
from shared.kernel.ids import Uid
from shared.payments.chains.ports import ChainRefused, ChainUnavailable
from shared.payments.chains.transactions import (
    FORGOTTEN_AFTER,
    NothingToPay,
    TransactionRefused,
    TransactionUnderWay,
)
from shared.payments.store import PaymentNotFound
from tests.support.coins import PAYER
from tests.support.wallets import OTHER, WALLET, WalletShop, signed

RICH = 10**24
HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class World:
    """A shop, its payment, and the wallet that pays."""

    def __init__(self, network="base", asset="USDC"):
        self.shop = WalletShop()
        self.chain = self.shop.chains[network]
        self.payment = self.shop.order(network, asset)
        assert self.payment.quote is not None
        self.due = self.payment.quote.due
        for name in {asset, self.shop.networks[network].coin.name}:
            self.chain.send(WALLET.address, name, RICH)
        self.chain.mine()

    @property
    def broadcasts(self):
        return self.shop.services().crypto.broadcasts

    def prepare(self, sender=WALLET.address):
        return self.broadcasts.prepare(self.payment.id, PAYER, sender)

    def send(self, raw):
        return self.broadcasts.broadcast(self.payment.id, PAYER, raw)

    def signed(self, **changes):
        return signed(self.prepare().transaction, **changes)

    def arrive(self):
        """Let the transaction that is under way come into a block."""
        self.shop.send(self.payment, self.due)
        self.chain.mine()


@pytest.fixture(params=["USDC", "ETH"])
def world(request):
    return World(asset=request.param)


def code(act):
    with pytest.raises(DomainError) as caught:
        act()
    return caught.value.code


# Unsigned -----------------------------------------------------------------------------------------------------------


def test_a_wallet_pays_a_token_by_a_transfer_to_the_contract():
    world = World()
    due, network = world.due, world.shop.networks["base"]

    prepared = world.prepare()

    address = OTHER.address.lower().removeprefix("0x")
    assert {**prepared.transaction, "data": "", "gas": "", "maxFeePerGas": "", "maxPriorityFeePerGas": ""} == {
        "type": "0x2",
        "chainId": hex(8453),
        "from": WALLET.address,
        "to": network.assets["USDC"].contract,
        "value": "0x0",
        "nonce": "0x3",
        "data": "",
        "gas": "",
        "maxFeePerGas": "",
        "maxPriorityFeePerGas": "",
    }
    assert prepared.transaction["data"] == f"0xa9059cbb{address:0>64}{due:064x}"
    assert (prepared.lacks, prepared.fee_value.currency) == (None, "USD")


def test_the_estimate_of_gas_has_a_margin(world):
    prepared = world.prepare()

    assert prepared.cost.gas == 60_000
    assert prepared.cost.fee == prepared.cost.gas * prepared.cost.price


def test_a_wallet_without_coins_is_told_what_it_lacks(world):
    world.chain.is_reverting = True

    assert world.prepare(OTHER.address).lacks == world.payment.quote.asset


def test_a_wallet_without_the_fee_is_told_to_get_the_coin():
    world = World()
    world.chain.send(OTHER.address, "USDC", RICH)
    world.chain.mine()

    assert world.prepare(OTHER.address).lacks == "ETH"


def test_a_transfer_that_would_fail_though_there_is_enough_is_refused(world):
    world.chain.is_reverting = True

    assert code(world.prepare) == "chain_refused"


@pytest.mark.parametrize("sender", ["", "0x12", "9858EfFD232B4033E47d90003D41EC34EcaEda94ff", "0x" + "g" * 40])
def test_a_sender_that_is_no_address_is_refused(sender):
    with pytest.raises(InvalidValue):
        World().prepare(sender)


def test_bitcoin_has_no_such_transactions():
    world = World()
    payment = world.shop.order("bitcoin", "BTC")

    with pytest.raises(NothingToPay):
        world.broadcasts.prepare(payment.id, PAYER, WALLET.address)


def test_another_user_finds_no_payment(world):
    with pytest.raises(PaymentNotFound):
        world.broadcasts.prepare(world.payment.id, Uid("eve"), WALLET.address)
    with pytest.raises(PaymentNotFound):
        world.broadcasts.broadcast(world.payment.id, Uid("eve"), world.signed())


# Signed -------------------------------------------------------------------------------------------------------------


def test_the_transaction_of_this_payment_is_passed_on(world):
    raw = world.signed()

    sent = world.send(raw)

    assert list(world.chain.taken) == [sent]


def test_twice_is_once(world):
    raw = world.signed()

    assert world.send(raw) == world.send(raw)
    assert len(world.chain.taken) == 1


@pytest.mark.parametrize("answer", ["lost", "silent"])
def test_an_answer_that_was_lost_may_be_asked_for_again(world, answer):
    raw = world.signed()
    world.chain.answers = [answer]
    with pytest.raises(ChainUnavailable):
        world.send(raw)

    sent = world.send(raw)

    assert list(world.chain.taken) == [sent]


def test_a_second_transaction_waits_for_the_first(world):
    world.chain.answers = ["lost"]
    with pytest.raises(ChainUnavailable):
        world.send(world.signed())

    with pytest.raises(TransactionUnderWay):
        world.send(world.signed(nonce=4))
    assert len(world.chain.taken) == 1


def test_another_wallet_waits_too(world):
    world.send(world.signed())

    with pytest.raises(TransactionUnderWay):
        world.send(signed(world.prepare().transaction, OTHER))


def test_a_replacement_with_a_higher_fee_is_passed_on(world):
    world.send(world.signed())

    world.send(world.signed(maxFeePerGas=10**12))

    assert len(world.chain.taken) == 2


def test_a_refused_transaction_makes_room_for_another(world):
    world.chain.answers = ["refused"]
    with pytest.raises(ChainRefused):
        world.send(world.signed())

    world.send(world.signed(nonce=4))

    assert len(world.chain.taken) == 1


def test_a_reverted_transaction_makes_room_for_another(world):
    world.chain.failed.add(world.send(world.signed()))

    world.send(world.signed(nonce=4))

    assert len(world.chain.taken) == 2


def test_a_forgotten_transaction_makes_room_for_another(world):
    world.chain.answers = ["silent"]
    with pytest.raises(ChainUnavailable):
        world.send(world.signed())
    world.shop.clock.advance(FORGOTTEN_AFTER + 1)

    world.send(world.signed(nonce=4))

    assert len(world.chain.taken) == 1


def test_a_payment_that_is_paid_takes_no_other_transaction(world):
    world.send(world.signed())
    raw = world.signed(nonce=4)
    world.arrive()

    with pytest.raises(NothingToPay):
        world.send(raw)


def test_the_same_transaction_has_the_same_answer_once_it_is_paid(world):
    raw = world.signed()
    sent = world.send(raw)
    world.arrive()
    world.shop.deep(world.payment)

    assert world.send(raw) == sent


def test_after_a_part_only_the_rest_is_passed_on():
    world = World()
    whole, half = world.signed(), world.due // 2
    world.shop.send(world.payment, half)
    world.chain.mine()
    world.shop.deep(world.payment)

    with pytest.raises(TransactionRefused):
        world.send(whole)
    assert world.prepare().wanted.amount == world.due - half
    assert world.send(world.signed())


def changed(world):
    """Each way in which a transaction can be another than the payment's, by name."""
    prepared = world.prepare().transaction
    due, address = world.due, OTHER.address
    token, stranger = world.payment.quote.asset == "USDC", "0x" + "ab" * 20
    data = prepared["data"]
    return {
        "another chain": {"chainId": 1},
        "another address": {"to": stranger},
        "a value beside": {"value": int(prepared["value"], 16) + 1},
        "no value": {"value": 0} if not token else {"value": 1},
        "a creation": {"to": None, "data": "0x6001"},
        "an access list": {"accessList": [{"address": address, "storageKeys": []}]},
        "more data": {"data": (data if token else "0x") + "00"},
        "another receiver": {"data": data.replace(address.lower()[2:], stranger[2:]), "to": stranger},
        "another amount": {"data": data[:-64] + f"{due - 1:064x}"} if token else {"value": due - 1},
        "an approval": {"data": "0x095ea7b3" + (data[10:] if token else "00" * 64)},
        "the token's address as receiver": {"to": address} if token else {"to": prepared["to"], "data": "0xa9059cbb"},
    }


@pytest.mark.parametrize("number", range(11))
def test_any_other_transaction_is_refused(world, number):
    name, changes = list(changed(world).items())[number]

    assert code(lambda: world.send(world.signed(**changes))) == "transaction_refused", name
    assert world.chain.taken == {}


def test_a_legacy_transaction_is_refused(world):
    call = world.prepare().transaction
    told = {"nonce": 3, "gas": 60_000, "gasPrice": 10**10, "to": call["to"], "value": int(call["value"], 16)}
    legacy = WALLET.sign_transaction({**told, "data": call["data"], "chainId": 8453}).raw_transaction.to_0x_hex()

    assert code(lambda: world.send(legacy)) == "transaction_refused"


def test_two_hundred_mutated_transactions_are_refused(world):
    raw, chance = bytes.fromhex(world.signed()[2:]), random.Random(9)
    codes = set()
    for _ in range(200):
        other = bytearray(raw)
        place = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                other[place] ^= 1 << chance.randrange(8)
            case 1:
                del other[place]
            case 2:
                other.insert(place, chance.randrange(256))
            case _:
                other += bytes([chance.randrange(256)])
        codes.add(_fate(world, raw, bytes(other)))

    assert codes <= {"transaction_refused", "same payment"}
    assert "transaction_refused" in codes


def _fate(world, raw, other):
    """The code of the refusal; or `same payment` if bytes that changed nonce, fee or signature alone still pay."""
    try:
        world.broadcasts.broadcast(world.payment.id, PAYER, other.hex())
    except (TransactionRefused, TransactionUnderWay, InvalidValue) as refusal:
        return "transaction_refused" if not isinstance(refusal, TransactionUnderWay) else "same payment"
    (last,) = list(world.chain.taken.values())[-1:]
    call = world.prepare().transaction
    assert (last.to, last.data, last.value) == (call["to"].lower(), call["data"].lower(), int(call["value"], 16))
    return "same payment"


@pytest.mark.parametrize("raw", ["", "0x", "0xzz", "abc", "0x02", "02", "0x" + "00" * 2_000, "0x02" + "ff" * 300])
def test_bytes_that_are_no_transaction_are_refused(raw):
    assert code(lambda: World().send(raw)) in {"invalid_value", "transaction_refused"}


def test_a_signature_in_its_second_form_is_refused(world):
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    told = TypedTransaction.from_bytes(HexBytes(world.signed())).as_dict()
    second = {**told, "s": HALF_ORDER - told["s"], "v": 1 - told["v"]}
    raw = TypedTransaction.from_dict(second).encode().hex()

    assert code(lambda: world.send(raw)) == "transaction_refused"


def test_a_late_payment_takes_no_transaction(world):
    raw = world.signed()
    world.shop.clock.advance(200 * MINUTE)
    world.chain.mine()
    world.shop.follow(world.payment)

    with pytest.raises(NothingToPay):
        world.send(raw)
