"""A webhook endpoint for tests: it keeps what it receives and answers as it is told."""

import json
import threading
from typing import Any, Self

from emulator.stand_ins.wire import Answer, Request, Server

OK = 200


class Endpoint:
    """`with Endpoint() as endpoint: … endpoint.url`. Answers 200, or the statuses in `answers`, the first first."""

    def __init__(self) -> None:
        self.received: list[Request] = []
        self.answers: list[int] = []
        self._lock = threading.Lock()
        self._server = Server(0, self._take, name="endpoint")

    @property
    def origin(self) -> str:
        return self._server.url

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.received]

    def types(self, name: str = "type") -> list[str]:
        return [body[name] for body in self.bodies]

    def _take(self, request: Request) -> Answer:
        with self._lock:
            self.received.append(request)
            return Answer(status=self.answers.pop(0) if self.answers else OK, body=b"{}")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
