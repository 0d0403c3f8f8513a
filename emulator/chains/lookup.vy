# pragma version 0.4.3
# pragma evm-version london
"""
@title Balances of many addresses in one call
@notice Never deployed: a call lends this code to an address without code (state override of eth_call).
        A token that fails, or answers with anything but one word, gives NO_ANSWER and spoils no other read.
"""

ADDRESSES_MAX: constant(uint256) = 1_000
TOKENS_MAX: constant(uint256) = 7
NO_ANSWER: constant(uint256) = max_value(uint256)
READ_GAS_MAX: constant(uint256) = 100_000
BURNT_GAS: constant(uint256) = 90_000


@external
@view
def look(
    owners: DynArray[address, ADDRESSES_MAX], tokens: DynArray[address, TOKENS_MAX]
) -> DynArray[uint256, ADDRESSES_MAX * (TOKENS_MAX + 1)]:
    """
    @notice Return the balances of each owner: the network's own coin first, then each token.
    @dev A token that burnt nearly all gas of a read is not asked again: its other balances are NO_ANSWER.
    """
    found: DynArray[uint256, ADDRESSES_MAX * (TOKENS_MAX + 1)] = []
    burnt: bool[TOKENS_MAX] = empty(bool[TOKENS_MAX])
    for owner: address in owners:
        found.append(owner.balance)
        place: uint256 = 0
        for token: address in tokens:
            balance: uint256 = NO_ANSWER
            if not burnt[place]:
                before: uint256 = msg.gas
                balance = self._balance(token, owner)
                burnt[place] = balance == NO_ANSWER and before - msg.gas > BURNT_GAS
            found.append(balance)
            place += 1
    return found


@internal
@view
def _balance(token: address, owner: address) -> uint256:
    is_answered: bool = False
    answer: Bytes[64] = b""
    is_answered, answer = raw_call(
        token,
        abi_encode(owner, method_id=method_id("balanceOf(address)")),
        max_outsize=64,
        gas=READ_GAS_MAX,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not is_answered or len(answer) != 32:
        return NO_ANSWER
    return convert(convert(slice(answer, 0, 32), bytes32), uint256)
