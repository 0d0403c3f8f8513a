"""Signer of an EIP-3009 authorization: the EIP-712 digest, and the address whose key signed the digest.

https://eips.ethereum.org/EIPS/eip-712, https://eips.ethereum.org/EIPS/eip-3009
"""

from shared.payments.chains.authorizations import Authorization, TokenDomain
from shared.platform.addresses.keccak import evm_address, keccak256

DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
TRANSFER_TYPE = (
    b"TransferWithAuthorization(address from,address to,uint256 value,"
    b"uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
PREFIX = b"\x19\x01"
WORD_BYTES = 32
SIGNATURE_BYTES = 65
RECOVERIES = (27, 28)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Number of points of secp256k1. Tokens refuse a signature whose `s` is above half of the order."""


def domain_separator(domain: TokenDomain, chain_id: int, contract: str) -> str:
    """Return the hash of a token's domain on a chain, as `DOMAIN_SEPARATOR()` of the contract answers."""
    parts = (
        keccak256(DOMAIN_TYPE),
        keccak256(domain.name.encode()),
        keccak256(domain.version.encode()),
        chain_id.to_bytes(WORD_BYTES),
        _address(contract),
    )
    return "0x" + keccak256(b"".join(parts)).hex()


def signer_of(authorization: Authorization, separator: str) -> str | None:
    """Return the address whose key signed this authorization for the domain, in lower case; None if no key did.

    Only signatures that a token accepts count: 65 bytes, `v` of 27 or 28, the lower `s`.
    """
    signature = bytes.fromhex(authorization.signature.removeprefix("0x"))
    if len(signature) != SIGNATURE_BYTES or signature[-1] not in RECOVERIES:
        return None
    if not 0 < int.from_bytes(signature[32:64]) <= ORDER // 2:
        return None
    return _recovered(_digest(authorization, separator), signature)


def _recovered(digest: bytes, signature: bytes) -> str | None:
    from coincurve import PublicKey

    recoverable = signature[:64] + bytes([signature[64] - RECOVERIES[0]])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception:  # noqa: BLE001  # the library raises its own bare Exception for points that do not exist
        return None
    return evm_address(key.format(compressed=False)).lower()


def _digest(authorization: Authorization, separator: str) -> bytes:
    numbers = (authorization.value, authorization.valid_after, authorization.valid_before)
    content = (
        keccak256(TRANSFER_TYPE),
        _address(authorization.payer),
        _address(authorization.receiver),
        *(number.to_bytes(WORD_BYTES) for number in numbers),
        bytes.fromhex(authorization.nonce.removeprefix("0x")),
    )
    return keccak256(PREFIX + bytes.fromhex(separator.removeprefix("0x")) + keccak256(b"".join(content)))


def _address(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x")).rjust(WORD_BYTES, b"\0")
