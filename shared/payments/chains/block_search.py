"""Search for the last block of a chain until a time, by bisection over heights."""

from shared.kernel.clock import SECOND, Millis
from shared.payments.chains.ports import Block, Chain


def last_block_until(chain: Chain, time: Millis, head: Block, block_seconds: float) -> Block | None:
    """Return the last block whose time is `time` or earlier; None if there is none.

    The search begins at the height that the usual time between blocks suggests. Raises BlockGone, ChainUnavailable.
    """
    if head.time <= time:
        return head
    step = max(1, int((head.time - time) / (block_seconds * SECOND)))
    low, high = max(0, head.height - step), head.height
    found = chain.block(low)
    while found.time > time:
        if low == 0:
            return None
        high, step = low, step * 2
        low = max(0, low - step)
        found = chain.block(low)
    while high - low > 1:
        middle = (low + high) // 2
        block = chain.block(middle)
        if block.time <= time:
            low, found = middle, block
        else:
            high = middle
    return found
