"""Checks of a signed authorization before anything is stored or sent: token, signer, coins and nonce."""

from collections.abc import Callable, Mapping
from typing import cast

from shared.payments.chains.authorizations import Authorization
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import Chain, ChainUnavailable, NetworkName, Tokens
from shared.payments.chains.screening import Screening
from shared.payments.chains.x402 import CreditOffer, PaymentInvalid, caip2

Signer = Callable[[Authorization, str], str | None]
"""Function that returns the signer of an authorization for a domain's hash; None for no signature."""


class AuthorizationChecks:
    """Checks of authorizations."""

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        signer: Signer,
        screening: Screening,
    ) -> None:
        self._networks = networks
        self._chains = chains
        self._signer = signer
        self._screening = screening

    def token(self, network: str, asset: str) -> tuple[Network, Asset]:
        """Return the listed token with this CAIP-2 network and contract, in lower case. Raises PaymentInvalid."""
        for known in self._networks.values():
            if known.family != "evm" or caip2(known) != network:
                continue
            for each in known.assets.values():
                if each.contract and each.contract.lower() == asset:
                    return known, each
        raise PaymentInvalid("this coin is not taken")

    def require_payable(self, offer: CreditOffer, signed: Authorization) -> None:
        """Raise PaymentInvalid unless the payer signed exactly this, and the coins are there or have come.

        A nonce that is used already is no fault: somebody else may have brought the authorization to the chain. Raises
        ChainUnavailable.
        """
        if self._signer(signed, offer.domain.separator) != signed.payer:
            raise PaymentInvalid("the payer's key has not signed it for this coin, amount and address")
        chain = self._chains().get(offer.network.name)
        if chain is None:
            raise ChainUnavailable(offer.network.name, "not_configured")
        head = chain.block("latest").hash
        nonce = (signed.payer, signed.nonce)
        if nonce in cast("Tokens", chain).used_nonces(head, offer.asset.contract, [nonce]):
            return
        if self._screening.is_any_listed(offer.network.name, {signed.payer}):
            raise PaymentInvalid("coins of this payer are not taken")
        asset = offer.asset.name
        levels = chain.levels(head, [signed.payer], [asset])
        if (signed.payer, asset) not in levels:
            raise ChainUnavailable(offer.network.name, "no_answer")
        if levels[signed.payer, asset] < signed.value:
            raise PaymentInvalid("the payer does not have the coins")
