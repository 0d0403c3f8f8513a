# pragma version 0.4.3
# pragma evm-version london
"""
@title Dollar token for tests, in the ways of USDC: EIP-20 and EIP-3009, domain "USD Coin" version "2"
@notice Anybody may mint. The code needs no constructor, so it also works where a test puts it (anvil_setCode).
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

TRANSFER_TYPE: constant(bytes32) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])
totalSupply: public(uint256)
paused: public(bool)
isBlacklisted: public(HashMap[address, bool])


@external
@pure
def name() -> String[8]:
    return "USD Coin"


@external
@pure
def symbol() -> String[4]:
    return "USDC"


@external
@pure
def version() -> String[1]:
    return "2"


@external
@pure
def decimals() -> uint8:
    return 6


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount
    self.totalSupply += amount
    log Transfer(sender=empty(address), receiver=receiver, value=amount)


@external
def pause(is_paused: bool):
    self.paused = is_paused


@external
def blacklist(owner: address, is_listed: bool):
    self.isBlacklisted[owner] = is_listed


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    self.allowance[sender][msg.sender] -= amount
    self._move(sender, receiver, amount)
    return True


@external
def transferWithAuthorization(
    sender: address,
    receiver: address,
    amount: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > validAfter, "FiatTokenV2: authorization is not yet valid"
    assert block.timestamp < validBefore, "FiatTokenV2: authorization is expired"
    assert not self.authorizationState[sender][nonce], "FiatTokenV2: authorization is used or canceled"
    content: bytes32 = keccak256(abi_encode(TRANSFER_TYPE, sender, receiver, amount, validAfter, validBefore, nonce))
    digest: bytes32 = keccak256(concat(x"1901", self._domain(), content))
    signer: address = ecrecover(digest, convert(v, uint256), convert(r, uint256), convert(s, uint256))
    assert signer != empty(address) and signer == sender, "FiatTokenV2: invalid signature"
    self.authorizationState[sender][nonce] = True
    log AuthorizationUsed(authorizer=sender, nonce=nonce)
    self._move(sender, receiver, amount)


@internal
def _move(sender: address, receiver: address, amount: uint256):
    assert not self.paused, "Pausable: paused"
    assert not self.isBlacklisted[sender] and not self.isBlacklisted[receiver], "Blacklistable: account is blacklisted"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, value=amount)


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, keccak256("USD Coin"), keccak256("2"), chain.id, self))
