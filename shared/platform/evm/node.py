"""One EVM node over JSON-RPC: single calls and batches, each with a timeout, none repeated by itself.

A node's address may hold a key. So no error and no log line has the address, nor the library's own message.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from requests import RequestException, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import HTTPError, Timeout
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from shared.payments.chains.ports import ChainUnavailable, NetworkName
from shared.platform.evm.reading import listing

CONNECT_SECONDS_MAX = 3.0
ANSWER_SECONDS_MAX = 10.0
BATCH_MAX = 100
CONNECTIONS_MAX = 20
"""Idle connections that are kept for the next calls."""
MESSAGE_CHARS_MAX = 200
TOO_MANY, SERVER_FAULTS = 429, 500
DENIED = frozenset({401, 403, 408, TOO_MANY})
"""HTTP statuses that say nothing about the request itself."""
LINK = re.compile(r"\w+://\S+")
KEY_SHAPED = re.compile(r"\b(?=[\w-]*\d)[\w-]{16,}")
"""Links, and words that may be keys: a node's message may repeat the address that was asked."""
INVALID_PARAMETERS = -32602

Call = tuple[str, Sequence[Any]]


class NodeRefused(Exception):
    """Error that a node answered to a call, with the code of JSON-RPC; or minus the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = KEY_SHAPED.sub("…", LINK.sub("…", message))[:MESSAGE_CHARS_MAX]
        super().__init__(f"{code} {self.message}")


class Node:
    """Node of one network at one address. Safe to share between threads."""

    def __init__(self, network: NetworkName, url: str, *, answer_seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        self._network = network
        options = {"timeout": (CONNECT_SECONDS_MAX, answer_seconds_max), "allow_redirects": False}
        self._provider = HTTPProvider(url, options, session=_session(), exception_retry_configuration=None)

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of one call. Raises NodeRefused, or ChainUnavailable if no answer came."""
        with self._calling():
            response = self._provider.make_request(RPCEndpoint(method), list(params))
            result = _result_of(response)
        if isinstance(result, NodeRefused):
            raise result
        return result

    def ask_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of many calls in their order, and NodeRefused in place of each refused one.

        Raises ChainUnavailable if no answer came to some part, or if the node answered fewer calls than were made.
        """
        return [each for at in range(0, len(calls), BATCH_MAX) for each in self._batch(calls[at : at + BATCH_MAX])]

    def _batch(self, calls: Sequence[Call]) -> list[Any]:
        with self._calling():
            answered: Any = self._provider.make_batch_request([(RPCEndpoint(name), list(of)) for name, of in calls])
            responses = listing(answered)
            first = responses[0]["id"]
            if [each["id"] for each in responses] != list(range(first, first + len(calls))):
                raise ValueError("answers to other calls")
            return [_result_of(each) for each in responses]

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Turn every failure of the connection, and every answer without form, into ChainUnavailable."""
        try:
            yield
        except HTTPError as error:
            status = error.response.status_code
            if status < SERVER_FAULTS and status not in DENIED:
                raise NodeRefused(-status, f"HTTP {status}") from None
            raise self.unavailable(f"a source answers HTTP {status}") from None
        except Timeout:
            raise self.unavailable("a source does not answer in time") from None
        except RequestException:
            raise self.unavailable("a source is out of reach") from None
        except (
            Web3Exception,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            Warning,
            RecursionError,
        ):
            raise self.nonsense() from None

    def nonsense(self) -> ChainUnavailable:
        """Return the error for an answer that cannot be right."""
        return self.unavailable("a source answers nonsense")

    def unavailable(self, reason: str) -> ChainUnavailable:
        """Return the error for a network of which nothing was learnt."""
        return ChainUnavailable(self._network, reason)


def _session() -> Session:
    """Return one session for all threads. Left alone, web3 keeps a session for each thread that ever asked."""
    session = Session()
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS_MAX)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def _result_of(response: Any) -> Any:
    """Return the result in a response, or NodeRefused. Raises ValueError if the response holds neither."""
    if error := response.get("error"):
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return NodeRefused(code if isinstance(code, int) else 0, str(message))
    if "result" not in response:
        raise ValueError("no result")
    return response["result"]
