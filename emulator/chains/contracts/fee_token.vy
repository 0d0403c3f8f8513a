# pragma version 0.4.3
# pragma evm-version london
"""
@title Token that takes a fee of each transfer: less arrives than was sent
@notice Anybody may mint.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

FEE_PERCENT: constant(uint256) = 1
FEE_RECEIVER: constant(address) = 0x00000000000000000000000000000000000000fe

balanceOf: public(HashMap[address, uint256])
totalSupply: public(uint256)


@external
@pure
def symbol() -> String[3]:
    return "FEE"


@external
@pure
def decimals() -> uint8:
    return 6


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount
    self.totalSupply += amount
    log Transfer(sender=empty(address), receiver=receiver, value=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    fee: uint256 = amount * FEE_PERCENT // 100
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[receiver] += amount - fee
    self.balanceOf[FEE_RECEIVER] += fee
    log Transfer(sender=msg.sender, receiver=receiver, value=amount - fee)
    log Transfer(sender=msg.sender, receiver=FEE_RECEIVER, value=fee)
    return True
