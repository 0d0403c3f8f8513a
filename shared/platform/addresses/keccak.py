"""Keccak-256, and the text form of EVM addresses (EIP-55)."""

ADDRESS_BYTES = 20
UPPER_FROM = 8
"""Hex digit of the hash from which on the address's letter at the same place is a capital."""


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash, which is not SHA3-256."""
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=data).digest()


def evm_address(uncompressed: bytes) -> str:
    """Return the address of a public key of 65 bytes, with the capitals that are the address's checksum."""
    return checksummed(keccak256(uncompressed[1:])[-ADDRESS_BYTES:])


def checksummed(address: bytes) -> str:
    """Return an address of 20 bytes as text, with the capitals that are the address's checksum."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= UPPER_FROM else digit for digit, mark in zip(digits, marks, strict=False)
    )
