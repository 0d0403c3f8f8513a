"""Port to an x402 facilitator: a service that brings signed authorizations to a chain, and pays the gas."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilitatorAnswer:
    """Answer of a facilitator: a hint, since the chain alone tells whether coins came.

    `transaction` is "" if the answer names none. `reason` is "" after a success. `is_pending` is True if the
    facilitator does not know the outcome yet.
    """

    is_settled: bool
    reason: str = ""
    transaction: str = ""
    is_pending: bool = False


class Facilitator(Protocol):
    """Facilitator of x402 payments. Calls have timeouts, and may be repeated: a nonce moves coins once."""

    def networks(self) -> Collection[str]:
        """Return the networks on which the facilitator settles exact payments, by CAIP-2; `eip155:*` for all of EVM.

        Raises FacilitatorUnavailable.
        """
        ...

    def settle(self, payload: Mapping[str, Any], requirements: Mapping[str, Any]) -> FacilitatorAnswer:
        """Bring a signed authorization to the chain. Raises FacilitatorUnavailable if the outcome is unknown."""
        ...


class FacilitatorUnavailable(Unavailable):
    """Failure to reach the facilitator, or an answer that cannot be read. The coins may have moved all the same."""

    code = "facilitator_unavailable"

    def __init__(self) -> None:
        super().__init__("The service that brings payments to the chain does not answer. Nothing is lost.")
