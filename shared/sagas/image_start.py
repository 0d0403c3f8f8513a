"""An image task begins: its price and credits are settled before anything is queued, so that a refusal is immediate.

Hold, then the task's document, then the message. What a crash leaves behind each: a hold that expires by itself; a task
whose message the sweep sends again. The same operation finds what it began, wherever the first call stopped.
"""

from dataclasses import dataclass

from shared.ai.image_tasks import (
    IMAGES_MAX,
    TASK_LIFETIME,
    ImageTask,
    ask_data,
    ask_path_of,
    path_of,
    task_data,
    task_id_of,
    task_of,
    with_ask,
)
from shared.ai.models import ASKED_FOR_BASE64, Catalogue, Model
from shared.ai.preferences import Preferences
from shared.ai.tariff import Tariff
from shared.kernel.clock import MINUTE, SECOND, Clock, Millis
from shared.kernel.documents import Create, Documents, OutcomeUnknown, PreconditionFailed, StoreUnavailable
from shared.kernel.errors import DomainError, IdempotencyMismatch, InvalidValue, StillRunning
from shared.kernel.events import Message, Publisher, log
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id, operation_id
from shared.kernel.money import Micro, format_credits
from shared.ledger.about import AboutTags, about
from shared.ledger.commands import BudgetClaim, PlaceHold, RateLimit
from shared.ledger.ledger import Ledger
from shared.sagas.leases import FREE

TOPIC = "image-jobs"
PURPOSE = "image"
HOLD_LIFETIME_MIN: Millis = 15 * MINUTE
"""Whatever is set for holds in general, those of images outlive the longest call of a model by far."""
WAKE_AFTER: Millis = 90 * SECOND
"""A queued task that nobody has taken up by then has lost its message."""
CREATE_ATTEMPTS_MAX = 5
CREATE_PAUSE_SECONDS = 0.05
HOLDS_MAX = 20
"""How often one intention may come back after its hold has expired, and still be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAsked:
    """What somebody wants painted. `budgets` are caps that it counts against, `principal` who spends (the user)."""

    uid: Uid
    prompt: str
    operation: OperationId
    fingerprint: str
    model: str | None = None
    size: str | None = None
    quality: str | None = None
    """How well the model shall paint; None lets the provider choose, at the size's own price."""
    n: int = 1
    principal: str = ""
    budgets: tuple[BudgetClaim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The task, and what is left to spend now that its credits are set aside; None if it was begun before."""

    task: ImageTask
    available: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    hold: HoldId
    amount: Micro
    until: Millis
    available: int


class ImageStart:
    """Begins tasks."""

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

    def start(self, asked: ImageAsked, *, is_queued: bool = True) -> Started:
        """Set the credits aside and queue the task, once per operation. Without `is_queued` the caller runs it itself.

        Raises ModelNotFound, ModelUnpriced, SizeNotOffered, QualityNotOffered, IdempotencyMismatch, RateLimited,
        InsufficientCredits, BudgetExceeded, AccountFrozen, …; then nothing is queued and nothing held.
        """
        if not 1 <= asked.n <= IMAGES_MAX:
            raise InvalidValue("n", f"must be from 1 to {IMAGES_MAX}")
        begun = self._found(asked)
        if begun is not None:
            return Started(task=begun, available=None)
        model = self._catalogue.image(asked.model or self._preferred(asked.uid))
        size = asked.size or model.default_size
        held = self._hold(asked, model, self._tariff.image_price(model, size, asked.quality, prompt=asked.prompt))
        task = self._created(asked, self._task(asked, model, size, held))
        if is_queued:
            self.publish(task)
        return Started(task=task, available=held.available)

    def publish(self, task: ImageTask) -> None:
        """Call for a worker. A message that cannot be sent now is sent by the sweep."""
        try:
            self._publisher.publish([Message(topic=TOPIC, data={"task_id": task.id})])
        except DomainError as error:
            log("image_task_not_published", "WARNING", task_id=task.id, code=error.code)

    def _preferred(self, uid: Uid) -> str:
        return self._preferences.get(uid)["image_model"] or self._default_model

    def _hold(self, asked: ImageAsked, model: Model, price: Micro) -> _Held:
        """Credits for all images. A call that comes back after its hold has ended, without a task, has a new one."""
        for number in range(HOLDS_MAX):
            operation = operation_id(asked.operation, "hold", str(number))
            command = PlaceHold(
                operation=operation,
                fingerprint=asked.fingerprint,
                amount=Micro(price * asked.n),
                hold=HoldId(derived_id("hold", operation)),
                purpose=PURPOSE,
                lifetime=self._hold_lifetime,
                principal=asked.principal or asked.uid,
                budgets=asked.budgets,
                rate=self._rate,
                tags=(("model", model.id),),
                about=_about(asked, model),
            )
            outcome = self._ledger.execute(asked.uid, command)
            if not outcome.is_replay or self._ledger.hold(asked.uid, command.hold).status == "active":
                amount, until = outcome.result["amount"], outcome.result["expires_at"]
                assert isinstance(amount, int), "an amount"
                assert isinstance(until, int), "a time"
                return _Held(hold=command.hold, amount=Micro(amount), until=until, available=outcome.balance.available)
        raise StillRunning

    def _task(self, asked: ImageAsked, model: Model, size: str, held: _Held) -> ImageTask:
        """The price is the one that was held, also if another holds by now."""
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
        """The task, stored. An unclear answer is settled by reading: whoever stored it first, there is one."""
        data = {**task_data(task, due_at=task.created_at + WAKE_AFTER), "lease": FREE}
        failure: DomainError = PreconditionFailed()
        for _ in range(CREATE_ATTEMPTS_MAX):
            try:
                self._documents.commit([Create(path_of(task.id), data), Create(ask_path_of(task.id), ask_data(task))])
                return task
            except (PreconditionFailed, OutcomeUnknown, StoreUnavailable) as error:
                failure = error
            if (found := self._found(asked)) is not None:
                return found
            self._clock.wait(CREATE_PAUSE_SECONDS)
        raise failure

    def _found(self, asked: ImageAsked) -> ImageTask | None:
        task_id = task_id_of(asked.operation)
        document, ask = self._documents.get_all([path_of(task_id), ask_path_of(task_id)])
        if document is None:
            return None
        task = with_ask(task_of(document), ask)
        if task.uid != asked.uid or task.fingerprint != asked.fingerprint:
            raise IdempotencyMismatch
        return task


def _about(asked: ImageAsked, model: Model) -> AboutTags:
    """Return what the entries of these images tell. Asked through the OpenAI-shaped API, it is an image, too."""
    return about("image", ref=("image_task", task_id_of(asked.operation)), model=model.id, principal=asked.principal)
