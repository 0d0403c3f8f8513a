"""Links that open a wallet with address and amount: EIP-681 on EVM networks, BIP21 on Bitcoin. Pure."""

from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import AssetName


def payment_uri(network: Network, asset: AssetName, address: str, amount: int) -> str:
    """Return the link that pays `amount` atomic units to `address`.

    https://eips.ethereum.org/EIPS/eip-681, https://github.com/bitcoin/bips/blob/master/bip-0021.mediawiki
    """
    known = network.assets[asset]
    if network.family == "bitcoin":
        return f"bitcoin:{address}?amount={decimal_text(amount, known.decimals)}"
    if not known.contract:
        return f"ethereum:{address}@{network.chain_id}?value={amount}"
    return f"ethereum:{known.contract}@{network.chain_id}/transfer?address={address}&uint256={amount}"
