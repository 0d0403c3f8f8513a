"""Facilitator of x402 payments on a laptop: the `x402` package over the laptop's nodes. It pays the gas.

`with FacilitatorStandIn([node]) as facilitator: … facilitator.url`. `POST /_control/behave {"how": "silent"}` does the
same as the method.
"""

import json
import secrets
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self, get_args

from emulator.chains.anvil import Anvil
from emulator.stand_ins.wire import Answer, Request, Server, json_answer

CONTROL = "/_control/behave"
ETHER = 10**18
RECEIPT_SECONDS_MAX = 10.0
KEY_BYTES = 32
Behaviour = Literal["well", "silent", "lost", "failing"]
"""`silent`: nothing is sent, no answer. `lost`: sent, no answer. `failing`: nothing is sent, and told as a failure."""


class FacilitatorStandIn:
    """Facilitator for the networks of these nodes. The key is made at the start, and has coins on these nodes only."""

    def __init__(self, nodes: Sequence[Anvil], *, port: int = 0) -> None:
        self._nodes = nodes
        self._server = Server(port, self._serve, name="facilitator")
        self._lock = threading.Lock()
        self._how: Behaviour = "well"
        self._facilitator: Any = None
        self.settled = 0

    @property
    def url(self) -> str:
        """Return the address of the facilitator."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    def behave(self, how: str) -> None:
        """Act in this way from now on. Raises ValueError for an unknown way."""
        if how not in get_args(Behaviour):
            raise ValueError(f"must be one of {', '.join(get_args(Behaviour))}")
        self._how = how  # type: ignore[assignment]  # one of Behaviour, as checked

    def _serve(self, request: Request) -> Answer | None:
        if request.path == CONTROL:
            self.behave(json.loads(request.body)["how"])
            return json_answer({})
        if request.path == "/supported":
            with self._lock:
                return _told(self._built().get_supported())
        if request.method != "POST" or request.path not in {"/settle", "/verify"}:
            return json_answer({"error": "not found"}, status=404)
        return self._paid(request.path, json.loads(request.body))

    def _paid(self, path: str, asked: Any) -> Answer | None:
        """Verify or settle a payment. One at a time: all transactions have the numbers of one account."""
        from x402.schemas import PaymentRequirements, parse_payment_payload

        how = self._how
        if how == "silent":
            return None
        payload = parse_payment_payload(asked["paymentPayload"])
        wanted = PaymentRequirements.model_validate(asked["paymentRequirements"])
        if how == "failing":
            return json_answer(
                {
                    "success": False,
                    "errorReason": "unexpected_settle_error",
                    "transaction": "",
                    "network": wanted.network,
                }
            )
        with self._lock:
            facilitator = self._built()
            told = facilitator.settle(payload, wanted) if path == "/settle" else facilitator.verify(payload, wanted)
            self.settled += path == "/settle" and told.success
        return None if how == "lost" else _told(told)

    def _built(self) -> Any:
        """Return the facilitator, built at the first payment: the package takes a second to load."""
        if self._facilitator is None:
            from eth_account import Account
            from x402 import x402FacilitatorSync
            from x402.mechanisms.evm import FacilitatorWeb3Signer
            from x402.mechanisms.evm.exact.register import register_exact_evm_facilitator

            key = "0x" + secrets.token_hex(KEY_BYTES)
            made = x402FacilitatorSync()
            for node in self._nodes:
                node.rpc("anvil_setBalance", Account.from_key(key).address, hex(1_000 * ETHER))
                signer = FacilitatorWeb3Signer(key, node.url, RECEIPT_SECONDS_MAX)
                network = f"eip155:{int(node.rpc('eth_chainId'), 16)}"
                register_exact_evm_facilitator(made, signer, networks=network)
            self._facilitator = made
        return self._facilitator


def _told(content: Any) -> Answer:
    return Answer(body=content.model_dump_json(by_alias=True, exclude_none=True).encode())
