"""Start of an image task. The price and the credits are settled before the task is queued, so a refusal is immediate.

The order is: hold, task document, message. If a crash follows the hold, the hold expires by itself. If a crash follows
the document, the sweep sends the message again. The same operation finds the task that it began, at any stage.
"""

from dataclasses import dataclass

from shared.ai.images.documents import (
    ask_path_of,
    created,
    is_old,
    job_path_of,
    path_of,
    task_id_of,
    task_of,
    with_ask,
)
from shared.ai.images.tasks import IMAGES_MAX, TASK_LIFETIME, ImageTask
from shared.ai.models.catalogue import ASKED_FOR_BASE64, Catalogue, Model
from shared.ai.models.preferences import Preferences
from shared.ai.models.tariff import Tariff
from shared.kernel.clock import MINUTE, SECOND, Clock, Millis
from shared.kernel.creation import create_or_find
from shared.kernel.documents import Documents
from shared.kernel.errors import DomainError, IdempotencyMismatch, InvalidValue, StillRunning
from shared.kernel.events import Publisher, TopicMessage, log
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.kernel.money import Micro, format_credits
from shared.ledger.about import AboutTags, about
from shared.ledger.commands import BudgetClaim, RateLimit
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.sagas.engine.leases import FREE

TOPIC = "image-jobs"
PURPOSE = "image"
HOLD_LIFETIME_MIN: Millis = 15 * MINUTE
"""Least lifetime of an image's hold, far longer than the longest model call.

A shorter setting for holds is overridden.
"""
WAKE_AFTER: Millis = 90 * SECOND
"""Time after which a queued task without a worker counts as a task whose message was lost."""
CREATE_ATTEMPTS_MAX = 5
CREATE_PAUSE_SECONDS = 0.05
HOLDS_MAX = 20
"""Most times that one intention is served again after its hold has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAsked:
    """A request for pictures. If `model` or `size` is None, the default applies; `quality` None: the provider chooses.

    `budgets` are the caps that the cost counts against; `principal` spends (empty: the user).
    """

    uid: Uid
    prompt: str
    operation: OperationId
    fingerprint: str
    model: str | None = None
    size: str | None = None
    quality: str | None = None
    """Quality of the pictures; None lets the provider choose, at the size's own price."""
    n: int = 1
    principal: str = ""
    budgets: tuple[BudgetClaim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTask:
    """The task.

    `available` is the balance (µcr) once the task's credits are held; None if the task was begun before.
    """

    task: ImageTask
    available: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedHold:
    hold: HoldId
    amount: Micro
    until: Millis
    available: int


class ImageStart:
    """Begins image tasks."""

    def __init__(  # noqa: PLR0913  # what beginning needs
        self,
        *,
        documents: Documents,
        ledger: Ledger,
        catalogue: Catalogue,
        tariff: Tariff,
        preferences: Preferences,
        publisher: Publisher,
        clock: Clock,
        default_model: str,
        hold_lifetime: Millis,
        rate: RateLimit | None = None,
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._catalogue = catalogue
        self._tariff = tariff
        self._preferences = preferences
        self._publisher = publisher
        self._clock = clock
        self._default_model = default_model
        self._hold_lifetime = hold_lifetime
        self._rate = rate

    def start(self, asked: ImageAsked, *, is_queued: bool = True) -> StartedTask:
        """Hold the credits and queue the task, once per operation. Without `is_queued` the caller runs the task itself.

        Raises ModelNotFound, ModelUnpriced, SizeNotOffered, QualityNotOffered, IdempotencyMismatch, RateLimited,
        InsufficientCredits, BudgetExceeded, AccountFrozen, …; then nothing is queued and nothing held.
        """
        if not 1 <= asked.n <= IMAGES_MAX:
            raise InvalidValue("n", f"must be from 1 to {IMAGES_MAX}")
        begun = self._found(asked)
        if begun is not None:
            return StartedTask(task=begun, available=None)
        model = self._catalogue.image(asked.model or self._preferred(asked.uid))
        size = asked.size or model.default_size
        held = self._hold(asked, model, self._tariff.image_price(model, size, asked.quality, prompt=asked.prompt))
        task = self._created(asked, self._task(asked, model, size, held))
        if is_queued:
            self.publish(task)
        return StartedTask(task=task, available=held.available)

    def publish(self, task: ImageTask) -> None:
        """Publish the message that calls for a worker. If that fails, the sweep publishes the message."""
        try:
            self._publisher.publish([TopicMessage(topic=TOPIC, data={"task_id": task.id})])
        except DomainError as error:
            log("image_task_not_published", "WARNING", task_id=task.id, code=error.code)

    def _preferred(self, uid: Uid) -> str:
        return self._preferences.get(uid)["image_model"] or self._default_model

    def _hold(self, asked: ImageAsked, model: Model, price: Micro) -> _PlacedHold:
        """Hold the credits for all images. If an earlier hold has ended without a task, place a new hold.

        Raises StillRunning after `HOLDS_MAX` ended holds.
        """
        for number in range(HOLDS_MAX):
            hold = NamedHold(self._ledger, asked.uid, operation_id(asked.operation, "hold", str(number)))
            outcome = hold.place(
                Micro(price * asked.n),
                fingerprint=asked.fingerprint,
                purpose=PURPOSE,
                lifetime=self._hold_lifetime,
                principal=asked.principal or asked.uid,
                budgets=asked.budgets,
                rate=self._rate,
                tags=(("model", model.id),),
                about=_about(asked, model, self._tariff.markup_percent),
            )
            if not outcome.is_replay or self._ledger.hold(asked.uid, hold.id).status == "active":
                placed = outcome.receipt
                return _PlacedHold(
                    hold=hold.id,
                    amount=Micro(placed.amount),
                    until=placed.expires_at,
                    available=placed.after.available,
                )
        raise StillRunning

    def _task(self, asked: ImageAsked, model: Model, size: str, held: _PlacedHold) -> ImageTask:
        """Build the task at the price that was held, even if the price has changed since."""
        now = self._clock.now()
        snapshot = {
            "version": str(model.price_version),
            "image_credits": format_credits(held.amount // asked.n),
        }
        return ImageTask(
            id=task_id_of(asked.operation),
            uid=asked.uid,
            spender=asked.principal or asked.uid,
            status="queued",
            prompt=asked.prompt,
            model=model.id,
            upstream_model=model.upstream_model,
            wants_base64=ASKED_FOR_BASE64 in model.capabilities,
            size=size,
            quality=asked.quality,
            n=asked.n,
            price=Micro(held.amount // asked.n),
            price_snapshot=snapshot,
            hold=held.hold,
            hold_until=held.until,
            fingerprint=asked.fingerprint,
            images=(),
            failures=(),
            tries=0,
            wakes=0,
            cost=Micro(0),
            created_at=now,
            updated_at=now,
            deadline_at=now + TASK_LIFETIME,
            finished_at=None,
        )

    def _created(self, asked: ImageAsked, task: ImageTask) -> ImageTask:
        """Store the task and return it. If the outcome is unclear, read: there is one task, of this call or of another.

        Raises IdempotencyMismatch, and the store's error if all attempts fail.
        """
        writes = created(task, FREE, due_at=task.created_at + WAKE_AFTER)

        def create() -> ImageTask:
            self._documents.commit(writes)
            return task

        return create_or_find(
            create,
            lambda: self._found(asked),
            pause=lambda: self._clock.wait(CREATE_PAUSE_SECONDS),
            attempts_max=CREATE_ATTEMPTS_MAX,
        )

    def _found(self, asked: ImageAsked) -> ImageTask | None:
        task_id = task_id_of(asked.operation)
        job, old = self._documents.get_all([job_path_of(task_id), path_of(task_id)])
        if job is not None:
            task = task_of(job)
        elif old is not None and is_old(old):
            task = with_ask(task_of(old), self._documents.get(ask_path_of(task_id)))
        else:
            return None
        if task.uid != asked.uid or task.fingerprint != asked.fingerprint:
            raise IdempotencyMismatch
        return task


def _about(asked: ImageAsked, model: Model, markup_percent: int) -> AboutTags:
    """Return the tags about the entries of these images.

    A request of the OpenAI-shaped API is tagged as an image, too.
    """
    return about(
        "image",
        ref=("image_task", task_id_of(asked.operation)),
        model=model.id,
        price_version=model.price_version,
        markup_percent=markup_percent,
        principal=asked.principal,
    )
