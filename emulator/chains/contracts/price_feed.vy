# pragma version 0.4.3
# pragma evm-version london
"""
@title Price feed in the ways of Chainlink's AggregatorV3Interface; also the feed of a sequencer (answer 0: up)
@notice Anybody may set the answer.
"""

description: public(String[32])
decimals: public(uint8)
version: public(uint256)
_round: uint80
_answer: int256
_started: uint256
_updated: uint256


@deploy
def __init__(description: String[32], decimals: uint8, answer: int256):
    self.description = description
    self.decimals = decimals
    self.version = 4
    self._set(answer, block.timestamp)


@external
def set_answer(answer: int256):
    self._set(answer, block.timestamp)


@external
def set_answer_at(answer: int256, updated: uint256):
    self._set(answer, updated)


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    return self._round, self._answer, self._started, self._updated, self._round


@internal
def _set(answer: int256, updated: uint256):
    self._round += 1
    self._answer = answer
    self._started = updated
    self._updated = updated
