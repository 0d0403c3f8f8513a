"""A backend in memory that paints: the real ledger and repositories, a scripted model, a bucket."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shared.ai.images.tasks import ImageTask
from shared.ai.pictures import Picture
from shared.ai.ports import ImageModel, ImageRequest
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Document, Documents, Query, Version, Write
from shared.kernel.ids import LotId, OperationId, Uid, fingerprint, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.objects import NAMES_MAX, ObjectInfo, Objects
from shared.ledger.commands import Grant
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.objects import MemoryObjects
from shared.platform.memory.publisher import MemoryPublisher
from shared.sagas.engine.jobs import JobRun
from shared.sagas.images.job import LEASE_SECONDS
from shared.sagas.images.start import TOPIC, ImageAsked, StartedTask
from shared.sagas.images.sweep import ImageSweep
from shared.sagas.metering.authority import Scopes
from tests.support.adapters import replace_parts
from tests.support.backend import services_on
from tests.support.indexes import stored

T = TypeVar("T")

ANN = Uid("ann")
PRICE = 1_000_000
"""What an image of the usual size costs: a cent, or a credit."""
PAINTER: dict[str, Any] = {
    "kind": "image",
    "image_usd": "0.01",
    "image_usd_by_size": {"1024x1024": "0.01", "1536x1024": "0.02"},
}


class Everybody:
    """Lets everybody's work go on."""

    def check(self, uid: Uid, spender: str) -> Scopes:
        """See `Authority.check`."""
        return None


@dataclass
class ImageBackend:
    """Everything that a task needs. `instance` is another process on the same data."""

    documents: Any = field(default_factory=stored)
    objects: Any = field(default_factory=MemoryObjects)
    model: Any = field(default_factory=ScriptedImageModel)
    clock: ManualClock = field(default_factory=ManualClock)
    publisher: Any = field(default_factory=MemoryPublisher)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    authority: Any = field(default_factory=Everybody)

    def __post_init__(self) -> None:
        services = services_on(
            self.documents,
            self.clock,
            objects=self.objects,
            image_model=self.model,
            publisher=self.publisher,
            alerts=self.alerts,
        )
        replace_parts(services.users, authority=self.authority)
        self.ledger, self.losses = services.credits.ledger, services.credits.losses
        self.catalogue, self.preferences = services.models.catalogue, services.models.preferences
        self.images, self.tasks = services.images.store, services.images.tasks
        self.start, self.job = services.images.start, services.images.job
        self.sweep = ImageSweep(
            documents=self.documents, tasks=self.tasks, start=self.start, job=self.job, clock=self.clock
        )

    def instance(self, **changes: Any) -> "ImageBackend":
        """Another process; `changes` are the ports that it sees differently."""
        ports = {
            name: getattr(self, name) for name in ("documents", "objects", "model", "clock", "publisher", "alerts")
        }
        return ImageBackend(**{**ports, **changes})

    def open(self, images: int = 10, uid: Uid = ANN) -> "ImageBackend":
        """Offer a model, to somebody who can pay for so many images."""
        if self.catalogue.read("painter") is None:
            self.catalogue.put("painter", PAINTER)
        self.ledger.open(uid)
        if images:
            lot = new_id("lot")
            amount = Micro(images * PRICE)
            self.ledger.execute(
                uid,
                Grant(operation=OperationId(lot), amount=amount, lot=LotId(lot), source="promo:test"),
            )
        return self

    def asked(self, n: int = 1, *, key: str = "", uid: Uid = ANN, **fields: Any) -> ImageAsked:
        """What the HTTP edge would make of a request."""
        operation = operation_id("test", uid, key) if key else OperationId(new_id("op"))
        told = {"prompt": "A fox in the snow", **fields}
        return ImageAsked(uid=uid, n=n, operation=operation, fingerprint=fingerprint(f"{n}{told}"), **told)

    def begin(self, n: int = 1, **fields: Any) -> ImageTask:
        """A queued task."""
        return self.begun(n, **fields).task

    def begun(self, n: int = 1, **fields: Any) -> StartedTask:
        return self.start.start(self.asked(n, **fields))

    def called_for(self) -> list[str]:
        """The tasks that messages call for, oldest first."""
        return [str(message.data["task_id"]) for message in self.publisher.on(TOPIC)]

    def sweep_once(self) -> int:
        """One turn of the sweep."""
        turn = JobRun("", self.clock, 60)
        self.sweep.sweep(turn)
        return turn.done

    def finish(self, task_id: str, *, minutes: int = 120) -> ImageTask:
        """Let time pass and messages come, as a running system does, until the task is finished."""
        for _ in range(minutes):
            before = len(self.called_for())
            self.sweep_once()
            for called in self.called_for()[before:]:
                self.job.run(called)
            task = self.task(task_id)
            if not task.is_open:
                return task
            self.clock.advance(MINUTE)
        raise AssertionError(f"not finished: {self.task(task_id)}")

    def pass_lease(self) -> None:
        """So much time that whoever held a lease has lost it."""
        self.clock.advance((LEASE_SECONDS + 1) * SECOND)

    def task(self, task_id: str, uid: Uid = ANN) -> ImageTask:
        return self.tasks.get(uid, task_id)

    def charges(self, uid: Uid = ANN) -> list[int]:
        """What the journal says was charged, oldest first."""
        entries = self.ledger.history(uid, before=None, limit=100, kinds=frozenset({"charge"})).items
        return [-entry.amount for entry in reversed(entries)]

    def kept(self, uid: Uid = ANN) -> list[str]:
        """The names of all objects of a user."""
        names: list[str] = self.objects.names(f"images/{uid}/")
        return names

    def assert_sound(self, task: ImageTask, *, made: int, uid: Uid = ANN) -> None:
        """The task is over: so many images, each with its own bytes, paid for once; nothing else is held or kept."""
        assert not task.is_open
        assert len(task.images) == made == len(set(task.images))
        assert task.decided == task.n
        images = self.images.of(task.images)
        assert [image.id for image in images] == list(task.images)
        for image in images:
            assert hashlib.sha256(self.images.content(image)).hexdigest() == image.sha256
        assert self.kept(uid) == sorted(f"images/{uid}/{image.id}" for image in images)
        assert sum(self.charges(uid)) == made * task.price == task.cost
        assert self.ledger.balance(uid).held == 0
        assert self.ledger.verify(uid) == []


@dataclass
class Trap:
    """Numbers every effect of one process (a commit, a call of the model, an upload), and acts at one of them.

    `act` runs before or after the effect with the given number, once: it crashes the process, or lets the world go on
    while the process is paused.
    """

    at: int = 0
    when: str = "before"
    act: Callable[[], None] = lambda: None
    count: int = 0

    def effect(self, do: Callable[[], T]) -> T:
        self.count += 1
        is_here = self.count == self.at
        if is_here and self.when == "before":
            self.act()
        try:
            return do()
        finally:
            if is_here and self.when == "after":
                self.act()

    def set_on(self, backend: ImageBackend) -> ImageBackend:
        """Another process, all of whose effects go through this trap."""
        return backend.instance(
            documents=TrappedDocuments(backend.documents, self),
            objects=TrappedObjects(backend.objects, self),
            model=TrappedModel(backend.model, self),
        )


@dataclass
class TrappedDocuments:
    inner: Documents
    trap: Trap

    def get(self, path: str) -> Document | None:
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        return self.trap.effect(lambda: self.inner.commit(writes, timeout_seconds=timeout_seconds))


@dataclass
class TrappedObjects:
    inner: Objects
    trap: Trap

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        return self.trap.effect(lambda: self.inner.put(name, content, content_type))

    def find(self, name: str) -> ObjectInfo | None:
        return self.inner.find(name)

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        return self.inner.read(name, first, last)

    def delete(self, name: str) -> None:
        self.trap.effect(lambda: self.inner.delete(name))

    def names(self, prefix: str, limit: int = NAMES_MAX) -> list[str]:
        return self.inner.names(prefix, limit)


@dataclass
class TrappedModel:
    inner: ImageModel
    trap: Trap

    def generate(self, request: ImageRequest) -> Picture:
        return self.trap.effect(lambda: self.inner.generate(request))
