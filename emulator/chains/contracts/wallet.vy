# pragma version 0.4.3
# pragma evm-version london
"""
@title Contract wallet: coins that it sends show in no log and in no transaction to the receiver
@notice Anybody may spend.
"""

interface Token:
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable


@external
@payable
def __default__():
    pass


@external
def pay(receiver: address, amount: uint256):
    raw_call(receiver, b"", value=amount)


@external
@payable
def pay_many(receivers: DynArray[address, 500], amount: uint256):
    for receiver: address in receivers:
        raw_call(receiver, b"", value=amount)


@external
def pay_token(token: address, receiver: address, amount: uint256):
    extcall Token(token).transfer(receiver, amount, default_return_value=True)
