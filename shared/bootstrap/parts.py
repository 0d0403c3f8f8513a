"""Decorator for a part of the services, which is built at its first use and then reused."""

import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class part(Generic[T]):  # noqa: N801  # used as a decorator, like `property`
    """Decorator for a part of the services: built at its first use, and reused for the life of the services."""

    def __init__(self, build: Callable[[Any], T]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, services: None, owner: type) -> Self: ...

    @overload
    def __get__(self, services: object, owner: type) -> T: ...

    def __get__(self, services: object | None, owner: type) -> Self | T:
        """Return the part, built if needed.

        The part is stored in the instance's own dictionary. Later uses find the part there, without this lock.
        """
        if services is None:
            return self
        with services.__dict__.setdefault("_lock", threading.RLock()):
            if self._name not in services.__dict__:
                services.__dict__[self._name] = self._build(services)
            built: T = services.__dict__[self._name]
            return built
