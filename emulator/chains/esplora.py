"""Esplora-compatible server over a Bitcoin node, as the public ones are in their worst hour.

`EsploraStandIn(node).order(is_limited=True)` answers 429 from now on, without Retry-After. Answers have the shapes, the
sizes of pages and the error texts of https://github.com/Blockstream/electrs `src/rest.rs`.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from emulator.chains.bitcoin_node import BitcoinNodeError
from emulator.chains.esplora_index import EsploraIndex, IndexedBlock, Json, Node, View, merkle_branch
from emulator.ports import LOOPBACK, free_ports

PAGE = 25
POOL_PAGE = 50
LIMITED = {"message": "Blockstream Explorer API NOTICE: Your request rate exceeds the current limit."}
LIE_FACTOR = 10
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class EsploraFaults:
    """Bad behaviour. `lag` blocks are unknown to the server; with `is_backwards` only to every second answer.

    After `calls_max` calls all answers are 429. `is_frozen`: the server stays at the chain that it knew when ordered,
    also on a fork. `is_empty`: all addresses are without history. `lies`: `amounts` makes amounts ten times as large in
    lists and sums; `repeats` doubles a transaction in raw blocks without changing the Merkle root; `blocks` puts every
    block on the chain.
    """

    lag: int = 0
    is_backwards: bool = False
    is_limited: bool = False
    calls_max: int | None = None
    is_down: bool = False
    is_frozen: bool = False
    is_empty: bool = False
    seconds: float = 0.0
    lies: frozenset[str] = frozenset()


class NotThere(Exception):
    """Answer 404."""


class EsploraStandIn:
    """Server for one node. `calls` counts the requests by the first part of their path."""

    def __init__(self, node: Node, *, port: int = 0) -> None:
        self.calls: list[str] = []
        self._node = node
        self._index = EsploraIndex(node)
        self._faults = EsploraFaults()
        self._frozen: View | None = None
        self._calls_before = 0
        self._turn = 0
        self._lock = threading.Lock()
        self._port = port or free_ports(["esplora"])["esplora"]
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def order(self, **faults: Any) -> None:
        """Behave badly from now on, and only in these ways; well, without any."""
        self._faults = EsploraFaults(**faults)
        self._calls_before = len(self.calls)
        self._frozen = self._index.view() if self._faults.is_frozen else None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer((LOOPBACK, self._port), type("Handler", (_Handler,), {"owner": self}))
        threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), name="esplora", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None, "entered"
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str | bytes | Json | list[Any]]:
        """Return status and content of the answer to a GET."""
        parts = path.strip("/").split("/")
        self.calls.append(path)
        faults = self._faults
        if faults.seconds:
            time.sleep(faults.seconds)  # noqa: TID251  # a slow server is slow
        if self._is_limited():
            return HTTPStatus.TOO_MANY_REQUESTS, LIMITED
        if faults.is_down:
            return HTTPStatus.BAD_GATEWAY, "<html><body><h1>502 Bad Gateway</h1></body></html>"
        try:
            return HTTPStatus.OK, self._content(parts, self._view(faults), faults)
        except NotThere as error:
            return HTTPStatus.NOT_FOUND, str(error)

    def send(self, text: str) -> tuple[int, str]:
        """Hand a transaction to the node, and return status and text of the answer."""
        if self._is_limited():
            return HTTPStatus.TOO_MANY_REQUESTS, json.dumps(LIMITED)
        try:
            return HTTPStatus.OK, str(self._node.rpc("sendrawtransaction", text))
        except BitcoinNodeError as error:
            reason = str(error).partition(": ")[2]
            return HTTPStatus.BAD_REQUEST, f'sendrawtransaction RPC error: {{"code":-26,"message":"{reason}"}}'

    def _is_limited(self) -> bool:
        allowed = self._faults.calls_max
        return self._faults.is_limited or (allowed is not None and len(self.calls) - self._calls_before > allowed)

    def _view(self, faults: EsploraFaults) -> View:
        if self._frozen is not None:
            return self._frozen
        view = self._index.view()
        with self._lock:
            self._turn += 1
            is_fresh = faults.is_backwards and self._turn % 2 == 0
        return view if not faults.lag or is_fresh else view.cut(len(view.chain) - 1 - faults.lag)

    def _content(self, parts: list[str], view: View, faults: EsploraFaults) -> str | bytes | Json | list[Any]:
        match parts:
            case ["blocks", "tip", part]:
                return {"hash": view.chain[-1].hash, "height": str(len(view.chain) - 1)}[part]
            case ["block-height", height]:
                return _at(view, int(height)).hash
            case ["block", name, *rest]:
                return _of_block(view, name, rest, faults)
            case ["tx", name, *rest]:
                return _of_transaction(view, name, rest)
            case ["address", address, *rest]:
                return _of_address(view, address, rest, faults)
            case ["fee-estimates"]:
                return {"2": 87.882, "3": 87.882, "6": 68.285, "144": 1.027}
        raise NotThere("endpoint does not exist")


def _at(view: View, height: int) -> IndexedBlock:
    if not 0 <= height < len(view.chain):
        raise NotThere("Block not found")
    return view.chain[height]


def _of_block(view: View, name: str, rest: list[str], faults: EsploraFaults) -> str | bytes | Json | list[Any]:
    known, block = view.known.get(name), view.block(name)
    if rest == ["status"]:
        is_on_chain = block is not None or "blocks" in faults.lies
        return {"in_best_chain": is_on_chain} | ({"height": block.value["height"]} if block else {})
    if rest == ["raw"] and known is not None:
        return _repeated(known) if "repeats" in faults.lies else known.raw
    if block is None:
        raise NotThere("Block not found")
    match rest:
        case []:
            return block.value
        case ["txid", place]:
            return str(block.transactions[int(place)]["txid"])
    raise NotThere("endpoint does not exist")


def _of_transaction(view: View, name: str, rest: list[str]) -> str | bytes | Json:
    found = view.transaction(name)
    if found is None:
        raise NotThere("Transaction not found")
    match rest:
        case []:
            return _public(found)
        case ["raw"]:
            return bytes.fromhex(found["_hex"])
        case ["merkle-proof"] if found["status"]["confirmed"]:
            block = view.chain[found["status"]["block_height"]]
            names = [one["txid"] for one in block.transactions]
            place = names.index(name)
            return {"block_height": block.value["height"], "merkle": merkle_branch(names, place), "pos": place}
    raise NotThere("Transaction not found or is unconfirmed")


def _of_address(view: View, address: str, rest: list[str], faults: EsploraFaults) -> Json | list[Any]:
    confirmed = [] if faults.is_empty else [_told(one, faults) for one in view.confirmed(address)]
    waiting = [] if faults.is_empty else [_told(one, faults) for one in view.waiting(address)]
    match rest:
        case []:
            return {
                "address": address,
                "chain_stats": _stats(address, confirmed),
                "mempool_stats": _stats(address, waiting),
            }
        case ["txs"]:
            return [*waiting[:POOL_PAGE], *confirmed[:PAGE]]
        case ["txs", "mempool"]:
            return waiting[:POOL_PAGE]
        case ["txs", "chain"]:
            return confirmed[:PAGE]
        case ["txs", "chain", last]:
            names = [one["txid"] for one in confirmed]
            begin = names.index(last) + 1 if last in names else 0
            return confirmed[begin : begin + PAGE]
    raise NotThere("endpoint does not exist")


def _stats(address: str, transactions: list[Json]) -> Json:
    funded = [out["value"] for one in transactions for out in one["vout"] if _pays(out, address)]
    spent = [entry["prevout"]["value"] for one in transactions for entry in one["vin"] if _spends(entry, address)]
    return {
        "funded_txo_count": len(funded),
        "funded_txo_sum": sum(funded),
        "spent_txo_count": len(spent),
        "spent_txo_sum": sum(spent),
        "tx_count": len(transactions),
    }


def _pays(output: Json, address: str) -> bool:
    return bool(output.get("scriptpubkey_address") == address)


def _spends(entry: Json, address: str) -> bool:
    return entry["prevout"] is not None and _pays(entry["prevout"], address)


def _told(transaction: Json, faults: EsploraFaults) -> Json:
    told = _public(transaction)
    if "amounts" in faults.lies:
        told["vout"] = [{**output, "value": output["value"] * LIE_FACTOR} for output in told["vout"]]
    return told


def _public(transaction: Json) -> Json:
    return {name: value for name, value in transaction.items() if not name.startswith("_")}


def _repeated(block: IndexedBlock) -> bytes:
    """Return the block with its last transaction twice, if an odd number of transactions leaves the root as it was."""
    count = len(block.transactions)
    if count % 2 == 0 or count > 251:  # noqa: PLR2004  # the count would need more bytes
        return block.raw
    last = bytes.fromhex(block.transactions[-1]["_hex"])
    return block.raw[:80] + bytes([count + 1]) + block.raw[81:] + last


class _Handler(BaseHTTPRequestHandler):
    """Speaker of HTTP for a stand-in."""

    owner: EsploraStandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    log_message: Callable[..., None] = staticmethod(lambda *_: None)

    def do_GET(self) -> None:
        self._say(*self.owner.answer(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/_faults":
            self.owner.order(**{**json.loads(body), "lies": frozenset(json.loads(body).get("lies", ()))})
            self._say(HTTPStatus.OK, "ordered")
        else:
            self._say(*self.owner.send(body))

    def _say(self, status: int, content: str | bytes | Json | list[Any]) -> None:
        match content:
            case bytes():
                kind, body = "application/octet-stream", content
            case str():
                kind, body = "text/plain", content.encode()
            case _:
                kind, body = "application/json", json.dumps(content, default=float).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
