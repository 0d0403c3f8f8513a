"""Ways in which a node may see its chain, right or wrong. Each turns one JSON-RPC call into an answer.

`Geth` answers as geth does, over a node that differs (anvil): no logs beyond the head instead of an error, and geth's
error for an unknown block hash. The others are faults of a source.
"""

import hashlib
import random
from collections.abc import Callable, Mapping
from typing import Any

from shared.platform.evm.lookup import BALANCE_END, LOOKUP_ADDRESS, WORD_DIGITS

Ask = Callable[..., Any]
"""Question to the node: a method and its parameters. Raises RpcError."""
UNKNOWN_BLOCK = {"code": -32000, "message": "header for hash not found"}
STATE_METHODS = frozenset({"eth_call", "eth_getBalance", "eth_getCode", "eth_getTransactionCount"})
"""Methods that read state at a block, which is their second parameter."""
TAGS = ("latest", "safe", "finalized")
REVERT = 3
BACK_MAX = 30
FORK_DEPTH = 3
LIE = 5_000_000
SPREAD = 1_000


class RpcError(Exception):
    """Error in the form of JSON-RPC."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error


class Geth:
    """View without a fault."""

    def __init__(self, ask: Ask, salt: int = 0) -> None:
        self.ask = ask
        self.salt = salt

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the result of a call. Raises RpcError."""
        if method == "eth_getLogs":
            return self._logs(params[0])
        if method in STATE_METHODS and isinstance(_block_in(params), dict):
            return self._state(method, params)
        return self.ask(method, *params)

    def head(self) -> int:
        """Return the height of the node's head."""
        return int(self.ask("eth_blockNumber"), 16)

    def _state(self, method: str, params: list[Any]) -> Any:
        try:
            return self.ask(method, *params)
        except RpcError as error:
            if error.error.get("code") == REVERT:
                raise
            raise RpcError(UNKNOWN_BLOCK) from None

    def _logs(self, wanted: dict[str, Any]) -> Any:
        if "blockHash" in wanted:
            return self.ask("eth_getLogs", wanted)
        top = self.head()
        first, last = (_height(wanted.get(name, "latest"), top) for name in ("fromBlock", "toBlock"))
        if first > top:
            return []
        return self.ask("eth_getLogs", {**wanted, "fromBlock": hex(first), "toBlock": hex(min(last, top))})


class Capped(Geth):
    """View of a node that knows no block above `top`."""

    def top(self) -> int:
        """Return the height of the highest block that is known."""
        raise NotImplementedError

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the result of a call, without the blocks above the top; see `Geth.answer`."""
        top = self.top()
        if method == "eth_blockNumber":
            return hex(top)
        if method == "eth_getBlockByNumber":
            return self._block(params, top)
        if method == "eth_getLogs":
            return self._capped_logs(params[0], top)
        if method in STATE_METHODS:
            return super().answer(method, self._capped_state(params, top))
        found = super().answer(method, params)
        return found if _height_in(found) <= top else None

    def _block(self, params: list[Any], top: int) -> Any:
        at = params[0]
        height = int(self.ask("eth_getBlockByNumber", at, False)["number"], 16) if at in TAGS else int(at, 16)
        if at not in TAGS and height > top:
            return None
        return self.ask("eth_getBlockByNumber", hex(min(height, top)), *params[1:])

    def _capped_state(self, params: list[Any], top: int) -> list[Any]:
        at = _block_in(params)
        if isinstance(at, dict):
            block = self.ask("eth_getBlockByHash", at["blockHash"], False)
            if block is None or int(block["number"], 16) > top:
                raise RpcError(UNKNOWN_BLOCK)
            return params
        return [params[0], hex(top), *params[2:]]

    def _capped_logs(self, wanted: dict[str, Any], top: int) -> Any:
        found = self._logs(wanted)
        return [log for log in found if int(log["blockNumber"], 16) <= top]


class Stale(Capped):
    """View of a node that stands still since the fault began."""

    def __init__(self, ask: Ask, salt: int = 0) -> None:
        super().__init__(ask, salt)
        self._top = self.head()

    def top(self) -> int:
        """Return the height at which the node stands; see `Capped.top`."""
        return min(self._top, self.head())


class Backwards(Capped):
    """View behind a balancer: each call may reach a node that is further behind."""

    def top(self) -> int:
        """Return a height below the head, another one each time; see `Capped.top`."""
        return max(0, self.head() - random.randrange(BACK_MAX))


class Forked(Geth):
    """View of a node on another branch, which left the chain shortly before the fault began.

    The blocks of the branch are empty: the state is that of the last common block.
    """

    def __init__(self, ask: Ask, salt: int = 0) -> None:
        super().__init__(ask, salt)
        self._last_common = max(0, self.head() - FORK_DEPTH)
        self._own: set[str] = set()

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the result of a call, as the other branch has it; see `Geth.answer`."""
        if method == "eth_getBlockByNumber":
            return self._disguised(self.ask(method, params[0], False))
        if method == "eth_getBlockByHash":
            return self._with_hash(params[0])
        if method in STATE_METHODS:
            return super().answer(method, self._on_branch(params))
        if method == "eth_getLogs":
            return [log for log in self._logs(params[0]) if int(log["blockNumber"], 16) <= self._last_common]
        found = super().answer(method, params)
        return found if _height_in(found) <= self._last_common else None

    def _with_hash(self, block: str) -> Any:
        if block in self._own:
            heights = range(self._last_common + 1, self.head() + 1)
            blocks = (self._disguised(self.ask("eth_getBlockByNumber", hex(height), False)) for height in heights)
            return next((each for each in blocks if each["hash"] == block), None)
        found = self.ask("eth_getBlockByHash", block, False)
        return found if found is not None and int(found["number"], 16) <= self._last_common else None

    def _disguised(self, block: Any) -> Any:
        """Return the branch's block at the height of this block."""
        if block is None or (height := int(block["number"], 16)) <= self._last_common:
            return block
        parent = block["parentHash"] if height == self._last_common + 1 else self._other(block["parentHash"])
        return {**block, "hash": self._other(block["hash"]), "parentHash": parent, "transactions": []}

    def _other(self, block: str) -> str:
        other = "0x" + hashlib.sha256(f"{self.salt}{block}".encode()).hexdigest()
        self._own.add(other)
        return other

    def _on_branch(self, params: list[Any]) -> list[Any]:
        at = _block_in(params)
        if isinstance(at, dict) and at["blockHash"] not in self._own and self._with_hash(at["blockHash"]) is None:
            raise RpcError(UNKNOWN_BLOCK)
        if isinstance(at, dict) and at["blockHash"] not in self._own:
            return params
        return [params[0], hex(self._last_common), *params[2:]]


class Empty(Geth):
    """View of a node that answers everything with nothing."""

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the empty answer of the method's kind; see `Geth.answer`."""
        if method in {"eth_call", "eth_getCode"}:
            return "0x"
        return [] if method == "eth_getLogs" else None


class Changing(Geth):
    """View of a node that tells other balances than there are."""

    def changed(self, balance: int) -> int:
        """Return the balance that is told."""
        raise NotImplementedError

    def answer(self, method: str, params: list[Any]) -> Any:
        """Return the result of a call, with other balances; see `Geth.answer`."""
        found = super().answer(method, params)
        if method == "eth_getBalance":
            return hex(self.changed(int(found, 16)))
        if method == "eth_call":
            is_lookup = str(params[0].get("to")).lower() == LOOKUP_ADDRESS
            return self._data(found, 2 if is_lookup else 0)
        return found

    def _data(self, data: str, first: int) -> str:
        words = [data[at : at + WORD_DIGITS] for at in range(2, len(data), WORD_DIGITS)]
        told = [word if number < first else self._word(word) for number, word in enumerate(words)]
        return "0x" + "".join(told)

    def _word(self, word: str) -> str:
        balance = int(word, 16)
        return word if balance >= BALANCE_END else f"{self.changed(balance):0{WORD_DIGITS}x}"


class Lying(Changing):
    """View of a node that adds coins to every address; no two nodes tell the same lie."""

    def changed(self, balance: int) -> int:
        """Return more than there is; see `Changing.changed`."""
        return balance + LIE + self.salt % SPREAD


class Denying(Changing):
    """View of a node that tells of less coins than there are; no two nodes tell the same lie."""

    def changed(self, balance: int) -> int:
        """Return less than there is; see `Changing.changed`."""
        return max(0, balance // 2 - self.salt % SPREAD)


def _block_in(params: list[Any]) -> Any:
    return params[1] if len(params) > 1 else "latest"


def _height(at: str, top: int) -> int:
    return top if at in TAGS else 0 if at == "earliest" else int(at, 16)


def _height_in(found: Any) -> int:
    """Return the height in a transaction, a receipt or a block; -1 if there is none."""
    if not isinstance(found, dict):
        return -1
    return int(found.get("blockNumber") or found.get("number") or "-0x1", 16)
