"""x402, version 2: offers in `PAYMENT-REQUIRED`, signed payments in `PAYMENT-SIGNATURE`, `PAYMENT-RESPONSE`. Pure.

https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md, transports-v2/http.md and
schemes/exact/scheme_exact_evm.md beside it.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from shared.kernel.clock import SECOND, Millis
from shared.kernel.errors import Rejected
from shared.kernel.money import Micro, format_credits
from shared.payments.chains.authorizations import Authorization, AuthorizedOrder, TokenDomain
from shared.payments.chains.networks import Asset, Network
from shared.payments.fiat import Fiat
from shared.payments.payment import DEPOSIT

VERSION = 2
EXACT = "exact"
PACKAGE = "package_id"
"""Name of the field of an offer's `extra` that tells offers of one price apart."""
REQUIRED_HEADER, SIGNATURE_HEADER, RESPONSE_HEADER = "PAYMENT-REQUIRED", "PAYMENT-SIGNATURE", "PAYMENT-RESPONSE"
HEADER_CHARACTERS_MAX = 8_192
OFFERS_MAX = 10
"""Most offers in one header: clients and proxies refuse long headers."""
VALID_SECONDS = 120
"""Time for which a client is asked to let an authorization count."""
VALID_SECONDS_MIN = 6
"""Least time that must be left of an authorization, as facilitators ask for."""
VALID_SECONDS_MAX = 3_600
UINT256 = 2**256
SECONDS_MAX = 2**40
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
WORD = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
SIGNATURE = re.compile(r"0x([0-9a-fA-F]{2}){65}", re.ASCII)
NUMBER = re.compile(r"\d{1,78}", re.ASCII)
NOT_EXACT = "must be an exact payment by EIP-3009 authorization, signed by the payer's own key"


class PaymentMalformed(Rejected):
    """Error for a header `PAYMENT-SIGNATURE` that cannot be read."""

    code = "payment_malformed"

    def __init__(self, problem: str) -> None:
        super().__init__(f"The header {SIGNATURE_HEADER} {problem}.", problem=problem)


class PaymentInvalid(Rejected):
    """Error for a signed payment that cannot be taken. Nothing was sent; sign an offer of this answer."""

    code = "payment_invalid"

    def __init__(self, problem: str) -> None:
        super().__init__(f"The payment was not taken: {problem}. Nothing was sent.", problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditOffer:
    """Credits for coins of a token, to an address of the user.

    `package` is "" for credits at their usual price. `due` are atomic units. `rate` is the USD per whole coin.
    `credits` and `bonus` are µcr.
    """

    network: Network
    asset: Asset
    domain: TokenDomain
    receiver: str
    due: int
    rate: Fraction
    sources: tuple[str, ...]
    price: Fiat
    package: str
    title: str
    credits: Micro
    bonus: Micro
    bonus_days: int | None = None

    @property
    def requirements(self) -> dict[str, Any]:
        """Return the offer as `PaymentRequirements`."""
        told = requirements_of(self.network, self.asset.contract, self.receiver, self.due, self.domain)
        own = {"credits": format_credits(Micro(self.credits + self.bonus)), PACKAGE: self.package_id}
        return {**told, "extra": {**told["extra"], **own}}

    @property
    def package_id(self) -> str:
        """Return the id of the package, or `deposit`."""
        return self.package or DEPOSIT


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPayment:
    """Signed authorization as a client sent it, with the network, asset and package that the client chose.

    `package` is "" if the client does not tell.
    """

    network: str
    asset: str
    package: str
    authorization: Authorization


def requirements_of(network: Network, contract: str, receiver: str, amount: int, domain: TokenDomain) -> dict[str, Any]:
    """Return `PaymentRequirements`: an amount of a token for a receiver."""
    return {
        "scheme": EXACT,
        "network": caip2(network),
        "amount": str(amount),
        "asset": contract,
        "payTo": receiver,
        "maxTimeoutSeconds": VALID_SECONDS,
        "extra": {"assetTransferMethod": "eip3009", "name": domain.name, "version": domain.version},
    }


def caip2(network: Network) -> str:
    """Return the name of an EVM network after CAIP-2."""
    return f"eip155:{network.chain_id}"


def required_of(offers: Sequence[CreditOffer], url: str, problem: str) -> dict[str, Any]:
    """Return the content of `PAYMENT-REQUIRED`: the cheapest offers first."""
    return {
        "x402Version": VERSION,
        "error": problem,
        "resource": {"url": url, "description": "Credits of this account", "mimeType": "application/json"},
        "accepts": [each.requirements for each in sorted(offers, key=lambda each: each.price.minor)[:OFFERS_MAX]],
        "extensions": {},
    }


def response_of(network: str, order: Authorization, transaction: str, failure: str) -> dict[str, Any]:
    """Return the content of `PAYMENT-RESPONSE`. `failure` is "" if the payment has arrived."""
    told: dict[str, Any] = {
        "success": not failure,
        "transaction": transaction,
        "network": network,
        "payer": order.payer,
        "amount": str(order.value),
    }
    return {**told, "errorReason": failure} if failure else told


def encoded(content: Mapping[str, Any]) -> str:
    """Return the content of a header as base64 of its JSON."""
    return base64.b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()


def payload_of(order: AuthorizedOrder, network: Network, receiver: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return payload and requirements for the facilitator, made of the order alone: nothing of a client's passes."""
    signed = order.authorization
    wanted = requirements_of(network, order.contract, receiver, signed.value, order.domain)
    authorization = {
        "from": signed.payer,
        "to": signed.receiver,
        "value": str(signed.value),
        "validAfter": str(signed.valid_after),
        "validBefore": str(signed.valid_before),
        "nonce": signed.nonce,
    }
    inner = {"signature": signed.signature, "authorization": authorization}
    return {"x402Version": VERSION, "accepted": wanted, "payload": inner}, wanted


def signed_payment(header: str) -> SignedPayment:
    """Return the payment in `PAYMENT-SIGNATURE`. Raises PaymentMalformed."""
    told = _decoded(header)
    accepted, payload = told.get("accepted"), told.get("payload")
    if told.get("x402Version") != VERSION or not isinstance(accepted, dict) or not isinstance(payload, dict):
        raise PaymentMalformed("must hold a payment of x402 version 2")
    content, signature = payload.get("authorization"), payload.get("signature")
    if accepted.get("scheme") != EXACT or not isinstance(content, dict) or not _is(SIGNATURE, signature):
        raise PaymentMalformed(NOT_EXACT)
    network, asset = accepted.get("network"), accepted.get("asset")
    if not isinstance(network, str) or not _is(ADDRESS, asset):
        raise PaymentMalformed("must name a network and an asset")
    return SignedPayment(
        network=network,
        asset=str(asset).lower(),
        package=_package(accepted.get("extra")),
        authorization=_authorization(content, str(signature)),
    )


def require_valid(signed: Authorization, now: Millis) -> None:
    """Raise PaymentInvalid unless the authorization counts now, and ends within an hour."""
    seconds = now // SECOND
    if signed.valid_after >= seconds:
        raise PaymentInvalid("the authorization is not valid yet")
    if signed.valid_before < seconds + VALID_SECONDS_MIN:
        raise PaymentInvalid("the authorization has ended")
    if signed.valid_before > seconds + VALID_SECONDS_MAX:
        raise PaymentInvalid("the authorization must end within an hour")


def _decoded(header: str) -> Mapping[str, Any]:
    if len(header) > HEADER_CHARACTERS_MAX:
        raise PaymentMalformed("is too long")
    try:
        told = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise PaymentMalformed("must be base64 of JSON") from None
    if not isinstance(told, dict):
        raise PaymentMalformed("must be base64 of a JSON object")
    return told


def _authorization(content: Mapping[str, Any], signature: str) -> Authorization:
    """Return a signed authorization, in lower case. Raises PaymentMalformed."""
    value, after, before = (_number(content.get(name)) for name in ("value", "validAfter", "validBefore"))
    payer, receiver, nonce = content.get("from"), content.get("to"), content.get("nonce")
    if not (_is(ADDRESS, payer) and _is(ADDRESS, receiver) and _is(WORD, nonce)):
        raise PaymentMalformed(NOT_EXACT)
    if value is None or after is None or before is None or max(after, before) > SECONDS_MAX or not value:
        raise PaymentMalformed(NOT_EXACT)
    return Authorization(
        payer=str(payer).lower(),
        receiver=str(receiver).lower(),
        value=value,
        valid_after=after,
        valid_before=before,
        nonce=str(nonce).lower(),
        signature=signature.lower(),
    )


def _package(extra: Any) -> str:
    """Return the package that a client has accepted; "" for a client that does not repeat the offer's `extra`."""
    told = extra.get(PACKAGE) if isinstance(extra, dict) else None
    return told if isinstance(told, str) else ""


def _number(value: Any) -> int | None:
    """Return a number that JSON writes as a text of digits; None for anything else."""
    number = int(value) if _is(NUMBER, value) else UINT256
    return number if number < UINT256 else None


def _is(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
