"""Stand-in for the price APIs of Coinbase Exchange and Kraken, which can be stale, wrong, slow, silent or nonsense.

`POST /_control/behave {"how": "stale"}` and `POST /_control/trade {"asset": "ETH", "rate": "2510.5"}` do the same as
the methods.
"""

import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self, get_args

from emulator.stand_ins.wire import Answer, Request, Server, json_answer
from shared.kernel.clock import HOUR, SECOND, Clock, Millis, SystemClock, rfc3339

CONTROL = "/_control/"
RATES: Mapping[str, str] = {"ETH": "2500.25", "POL": "0.4012", "BTC": "60001.5", "USDC": "0.9999", "USDT": "1.0001"}
"""First prices in USD. The price feeds of the laptop's chains tell about the same."""
STALE_BY: Millis = HOUR
SLOW_SECONDS = 30.0
KRAKEN_SYMBOLS = {"XBT": "BTC"}
KRAKEN_LEGACY = {"XBT": "XXBTZUSD", "ETH": "XETHZUSD", "USDT": "USDTZUSD"}
"""Names under which Kraken answers, where they differ from the question's."""
Behaviour = Literal["well", "stale", "ahead", "wrong", "slow", "silent", "refusing", "nonsense", "zero"]


class SpotStandIn:
    """Price APIs of both exchanges at one address: `with SpotStandIn() as spot: … spot.url`."""

    def __init__(self, *, port: int = 0, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._server = Server(port, self._serve, name="spot")
        self._lock = threading.Lock()
        self._rates = dict(RATES)
        self._how: Behaviour = "well"
        self._ended = threading.Event()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Return the address that stands for both APIs."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._server.stop()

    def behave(self, how: str) -> None:
        """Answer in this way from now on. Raises ValueError for an unknown way."""
        if how not in get_args(Behaviour):
            raise ValueError(f"must be one of {', '.join(get_args(Behaviour))}")
        with self._lock:
            self._how = how  # type: ignore[assignment]  # one of Behaviour, as checked

    def trade(self, asset: str, rate: str | None) -> None:
        """Let the last trade be at this rate; None: the asset is not traded."""
        with self._lock:
            self._rates.pop(asset, None)
            if rate is not None:
                self._rates[asset] = rate

    def _serve(self, request: Request) -> Answer | None:
        if request.method == "POST" and request.path.startswith(CONTROL):
            return self._controlled(request)
        with self._lock:
            how = self._how
            self.asked.append(request.path)
        if how == "slow":
            self._ended.wait(SLOW_SECONDS)
        if how in {"slow", "silent"}:
            return None
        if how == "refusing":
            return json_answer({"error": ["EGeneral:Too many requests"], "message": "rate limited"}, status=429)
        if how == "nonsense":
            return Answer(body=b'{"error": [], "result": {"XX": [[null]]}, "price": {}, "time": 1}')
        return self._prices(request, how)

    def _controlled(self, request: Request) -> Answer:
        body = json.loads(request.body or b"{}")
        if request.path == f"{CONTROL}behave":
            self.behave(body["how"])
        elif request.path == f"{CONTROL}trade":
            self.trade(body["asset"], body["rate"])
        else:
            return json_answer({"error": "no such control"}, status=404)
        return json_answer({})

    def _prices(self, request: Request, how: Behaviour) -> Answer:
        if request.path.startswith("/products/"):
            return self._coinbase(request.path.split("/")[2].removesuffix("-USD"), how)
        return self._kraken(request.asked().get("pair", "").removesuffix("USD"), how)

    def _coinbase(self, asset: str, how: Behaviour) -> Answer:
        rate = self._rate(asset, how)
        if rate is None or asset == "USDC":  # Coinbase trades no USDC against dollars: both are one there
            return json_answer({"message": "NotFound"}, status=404)
        time = rfc3339(self._at(how)).removesuffix("Z") + "456789Z"  # nanoseconds, as the exchange tells them
        return json_answer({"ask": rate, "bid": rate, "price": rate, "size": "0.1", "time": time, "trade_id": 1})

    def _kraken(self, symbol: str, how: Behaviour) -> Answer:
        rate = self._rate(KRAKEN_SYMBOLS.get(symbol, symbol), how)
        if rate is None:
            return json_answer({"error": ["EQuery:Unknown asset pair"]})
        seconds, millis = divmod(self._at(how), SECOND)
        trade = f'["{rate}","0.10000000",{seconds}.{millis:03d}8369,"b","m","",61044952]'
        pair = KRAKEN_LEGACY.get(symbol, f"{symbol}USD")
        return Answer(body=f'{{"error":[],"result":{{"{pair}":[{trade}],"last":"{seconds}000000000"}}}}'.encode())

    def _rate(self, asset: str, how: Behaviour) -> str | None:
        with self._lock:
            rate = self._rates.get(asset)
        if rate is None or how not in {"wrong", "zero"}:
            return rate
        return "0.00" if how == "zero" else f"9{rate}"

    def _at(self, how: Behaviour) -> Millis:
        shift = {"stale": -STALE_BY, "ahead": STALE_BY}
        return self._clock.now() + shift.get(how, 0)
