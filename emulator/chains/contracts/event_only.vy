# pragma version 0.4.3
# pragma evm-version london
"""
@title Token that lies: transfers are told by events, and move nothing
@notice A real deposit by `mint` is still a balance, so that both kinds can meet at one address.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

balanceOf: public(HashMap[address, uint256])


@external
@pure
def symbol() -> String[4]:
    return "LIAR"


@external
@pure
def decimals() -> uint8:
    return 6


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, value=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    log Transfer(sender=msg.sender, receiver=receiver, value=amount)
    return True


@external
def spoof(sender: address, receiver: address, amount: uint256):
    log Transfer(sender=sender, receiver=receiver, value=amount)
