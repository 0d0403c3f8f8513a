"""Run of an image task: paint, store and record image by image, then charge the images that were made.

A message may come twice, late or never, and a worker may die anywhere. So every image has one permanent id and object
name: an image that was stored before is found, not painted again. An image is recorded under the task's lease, in one
commit with the image's own document. The charge follows from the recorded task, under one permanent operation.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from shared.ai.images.documents import job_path_of, shown, task_of, work_data
from shared.ai.images.store import Image, facts_of, image_id_of, image_of, object_name, recorded
from shared.ai.images.store import path_of as image_path
from shared.ai.images.task_store import ImageTasks
from shared.ai.images.tasks import Failure, ImageTask, Status
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.pictures import NoPicture, Picture, picture_of
from shared.ai.ports import ImageModel, ImageRequest, UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.documents import Documents, Write
from shared.kernel.errors import DomainError, Rejected
from shared.kernel.events import Alerts, log
from shared.kernel.ids import OperationId, operation_id
from shared.kernel.money import Micro
from shared.kernel.objects import ObjectNotFound, Objects
from shared.ledger.commands import ExtendHold
from shared.ledger.errors import HoldNotFound
from shared.ledger.holding import GONE
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.ledger.named_hold import NamedHold
from shared.sagas.engine.leases import LeasedDocument, LeaseLost, Leases
from shared.sagas.metering.authority import Authority
from shared.sagas.metering.call_losses import CallLosses
from shared.users.end_users import EndUsers

LEASE_SECONDS = 300
"""Lifetime of the lease: longer than the longest call of a model, including storing and recording."""
WORDS_MAX = 1_000
"""Most characters to store of a provider's refusal."""
SLICE_SECONDS = 200.0
"""Time after which a run begins no image.

So one run, with its last call, ends within an event function's 540 seconds.
"""
TRIES_MAX = 5
"""Most runs in a row without a decided image. After these the task is a dead letter, and an operator is alerted."""
RETRY_AFTER: Millis = 20 * SECOND
HOLD_MARGIN: Millis = 400 * SECOND
"""Remaining lifetime at which a hold is renewed. Longer than a call, and than the wait for a run after a crash."""

TIMED_OUT = "timed_out"
"""Code of images that were not made within the task's time."""
GIVEN_UP = "given_up"
"""Code of images that have failed in every run so far through our own faults."""

Change = Callable[[ImageTask], ImageTask]


class RunPublisher(Protocol):
    """Publisher of messages that call for the next run of an unfinished task."""

    def publish(self, task: ImageTask) -> None:
        """Publish the message that calls for a worker; see `ImageStart.publish`."""
        ...


class ImageJob:
    """Runs image tasks. Safe to share between threads and instances."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        documents: Documents,
        objects: Objects,
        ledger: Ledger,
        image_model: ImageModel,
        calls: RunPublisher,
        authority: Authority,
        end_users: EndUsers,
        alerts: Alerts,
        clock: Clock,
        hold_lifetime: Millis,
        losses: Losses | None = None,
    ) -> None:
        self._documents = documents
        self._tasks = ImageTasks(documents)
        self._objects = objects
        self._ledger = ledger
        self._image_model = image_model
        self._calls = calls
        self._authority = authority
        self._end_users = end_users
        self._alerts = alerts
        self._clock = clock
        self._hold_lifetime = hold_lifetime
        self._losses = CallLosses(losses)
        self._leases = Leases(documents, clock)

    def run(self, task_id: str) -> ImageTask | None:
        """Run one slice. Return the task then, or None if there is no open task or another worker has the lease.

        Any error that is raised is a reason to run again: an unreachable store, storage or ledger, or our own fault.
        """
        worker = self._claimed(task_id)
        if worker is None:
            return None
        try:
            return self._go_on(worker)
        except LeaseLost:
            self._clean_up(task_of(worker.document))
            return None
        except Exception:
            self._let_go(worker)
            raise

    def _claimed(self, task_id: str) -> LeasedDocument | None:
        document = self._tasks.for_work(task_id)
        if document is None or not task_of(document).is_open:
            return None
        return self._leases.claim_read(document, LEASE_SECONDS)

    def _go_on(self, worker: LeasedDocument) -> ImageTask:
        until = self._clock.monotonic() + SLICE_SECONDS
        self._save(worker, lambda task: replace(task, status="running", tries=task.tries + 1))
        while (task := task_of(worker.document)).decided < task.n:
            if self._clock.monotonic() >= until:
                return self._hand_on(worker)
            if (code := self._reason_to_stop(task)) is not None:
                self._fail_rest(worker, task, code)
            else:
                self._decide_next(worker, task)
        return self._settle(worker, task)

    def _reason_to_stop(self, task: ImageTask) -> str | None:
        """Return the code of the reason to stop painting for this task; None to continue.

        Raises IdentityUnavailable.
        """
        if self._clock.now() >= task.deadline_at:
            return TIMED_OUT
        try:
            self._authority.check(task.uid, task.spender)
        except Rejected as refusal:
            return refusal.code
        if task.tries <= TRIES_MAX:
            return None
        self._alerts.alert("image_task_given_up", task_id=task.id, uid=task.uid, tries=task.tries)
        return GIVEN_UP

    # ── one image ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _decide_next(self, worker: LeasedDocument, task: ImageTask) -> None:
        """Paint the next image, or find the stored one. Record the image, or the reason of its failure."""
        try:
            picture = self._stored_before(worker, task)
            if picture is None:
                self._keep_hold(worker, task)
                picture = self._painted(task)
        except UpstreamRejected as refusal:
            words = refusal.detail[:WORDS_MAX] if isinstance(refusal, RequestRefused) else ""
            self._fail_rest(worker, task, refusal.code, words)  # the same prompt is refused again
        except (UpstreamUnavailable, NoPicture) as failure:
            log("image_failed", "WARNING", task_id=task.id, index=task.decided, code=failure.code)
            is_charged = self._is_charged(task, failure)
            self._fail(worker, [Failure(index=task.decided, code=failure.code, is_charged=is_charged)])
        except (Rejected, *GONE) as refusal:
            self._fail_rest(worker, task, refusal.code)  # the account was frozen, closed, or its hold ended
        else:
            self._record(worker, task, picture)

    def _is_charged(self, task: ImageTask, failure: UpstreamUnavailable | NoPicture) -> bool:
        """Return True if the user pays for a failed picture.

        That is so if our time limit has cut the call, or if too many of the user's calls have failed.
        """
        if isinstance(failure, UpstreamTimedOut):
            return True
        told = failure if isinstance(failure, UpstreamUnavailable) else UpstreamUnavailable(has_begun=True)
        return self._losses.is_failure_charged(
            task.uid,
            told,
            call=f"{task.id}:{task.decided}",
            model=task.model,
            principal=task.spender,
            amount=task.price,
        )

    def _keep_hold(self, worker: LeasedDocument, task: ImageTask) -> None:
        """Renew the hold if it could end during a call. Record in the hold the amount (µcr) that is due so far."""
        if task.hold_until - self._clock.now() > HOLD_MARGIN:
            return
        command = ExtendHold(
            operation=operation_id(task.id, "renew", str(worker.fence), str(task.decided)),
            hold=task.hold,
            amount=Micro(0),
            at_least=Micro(0),
            accrued=task.due,
            lifetime=self._hold_lifetime,
        )
        until = self._ledger.execute(task.uid, command).receipt.expires_at
        self._save(worker, lambda task: replace(task, hold_until=until))

    def _stored_before(self, worker: LeasedDocument, task: ImageTask) -> Picture | None:
        """Return the picture that an earlier run has stored and not recorded; None if there is none.

        The first run of a task need not look.
        """
        if worker.fence == 1:
            return None
        try:
            return picture_of(self._objects.read(_name(task, task.decided)))
        except ObjectNotFound:
            return None

    def _painted(self, task: ImageTask) -> Picture:
        """Paint and store a picture.

        If another worker has stored the same image meanwhile, return that picture instead.
        """
        request = ImageRequest(
            model=task.upstream_model,
            prompt=task.prompt,
            size=task.size,
            quality=task.quality,
            wants_base64=task.wants_base64,
            end_user=self._end_users.of(task.uid),
        )
        picture = self._image_model.generate(request)
        if self._objects.put(_name(task, task.decided), picture.content, picture.content_type):
            return picture
        return picture_of(self._objects.read(_name(task, task.decided)))

    def _record(self, worker: LeasedDocument, task: ImageTask, picture: Picture) -> None:
        image = image_of(picture, task, task.decided, self._clock.now())
        self._save(worker, lambda task: _with_image(task, image), recorded(image))
        log("image_recorded", task_id=task.id, image_id=image.id, bytes=image.bytes)

    def _fail(self, worker: LeasedDocument, failures: list[Failure]) -> None:
        self._save(worker, lambda task: replace(task, failures=(*task.failures, *failures), tries=0, wakes=0))

    def _fail_rest(self, worker: LeasedDocument, task: ImageTask, code: str, words: str = "") -> None:
        log("image_task_stopped", "WARNING", task_id=task.id, decided=task.decided, code=code)
        self._fail(worker, [Failure(index=index, code=code, words=words) for index in range(task.decided, task.n)])

    # ── the end of a run ─────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, worker: LeasedDocument, task: ImageTask) -> ImageTask:
        """Charge the images that were made, release the rest of the hold, and end the task. Every image is decided."""
        if worker.fence > 1:
            for failure in task.failures:
                self._forget(task, failure.index)
        cost = self._charged(task)
        status: Status = "done" if task.images else "failed"
        now = self._clock.now()
        self._free(worker, lambda task: replace(task, status=status, cost=Micro(cost), finished_at=now), due_at=None)
        log("image_task_finished", task_id=task.id, status=status, images=len(task.images), cost=cost)
        return task_of(worker.document)

    def _charged(self, task: ImageTask) -> int:
        """Return the amount that the user pays (µcr).

        If the hold has ended before, return the amount that was captured then; the platform bears the rest.
        """
        cost, hold = task.due, NamedHold(self._ledger, task.uid, OperationId(task.id), task.hold)
        try:
            if not cost:
                hold.release(is_unused=True)
                return 0
            return hold.capture(Micro(cost)).amount
        except GONE as failure:
            if not cost:
                return 0
            log("image_hold_ended_early", "ERROR", task_id=task.id, cost=cost, code=failure.code)
            return _captured_so_far(hold)

    def _hand_on(self, worker: LeasedDocument) -> ImageTask:
        """Free the lease and call for the next run, which may begin at once. The task is not finished."""
        self._free(worker, lambda task: task, due_at=self._clock.now() + RETRY_AFTER)
        task = task_of(worker.document)
        self._calls.publish(task)
        return task

    def _save(self, worker: LeasedDocument, change: Change, *also: Write) -> None:
        """Save the change and renew the lease. The sweep looks at the task again when the lease has ended."""
        due_at = self._clock.now() + LEASE_SECONDS * SECOND
        self._write(worker, worker.save, change, due_at, also)

    def _free(self, worker: LeasedDocument, change: Change, *, due_at: Millis | None) -> None:
        """Save the change and free the lease. The sweep looks at the task again at `due_at`; None: never."""
        self._write(worker, worker.free, change, due_at, ())

    def _write(
        self,
        worker: LeasedDocument,
        write: Callable[..., None],
        change: Change,
        due_at: Millis | None,
        also: Sequence[Write],
    ) -> None:
        """Write the changed task, and what the owner listens to. Raises LeaseLost.

        If the owner has deleted an image meanwhile, the task has changed but the lease has not: change the task again.
        """
        now = self._clock.now()
        for is_again in (False, True):
            task = replace(change(task_of(worker.document)), updated_at=now)
            try:
                write({**work_data(task), "due_at": due_at}, shown(task), *also)
                return
            except LeaseLost:
                if is_again or not worker.rejoin():
                    raise

    def _let_go(self, worker: LeasedDocument) -> None:
        """Free the lease after a failed run, so that the next run need not wait. If that fails, the next run waits."""
        try:
            self._free(worker, lambda task: task, due_at=self._clock.now() + RETRY_AFTER)
        except DomainError as error:
            log("image_task_not_let_go", "WARNING", path=worker.path, code=error.code)

    def _clean_up(self, task: ImageTask) -> None:
        """Remove the image that this overtaken worker may have stored, unless the image is recorded or still undecided.

        An undecided image is left for the worker that will decide the image.
        """
        index = task.decided
        try:
            now, image = self._documents.get_all([job_path_of(task.id), image_path(image_id_of(task.id, index))])
        except DomainError as error:
            log("image_not_cleaned_up", "WARNING", task_id=task.id, code=error.code)
            return
        is_undecided = now is not None and task_of(now).decided <= index
        if image is None and not is_undecided:
            self._forget(task, index)

    def _forget(self, task: ImageTask, index: int) -> None:
        """Remove the stored picture of an image that was not recorded.

        If that fails, the picture is erased with the user.
        """
        try:
            self._objects.delete(_name(task, index))
        except DomainError as error:
            log("image_not_cleaned_up", "WARNING", task_id=task.id, code=error.code)


def _with_image(task: ImageTask, image: Image) -> ImageTask:
    """Return the task with the next image decided: made."""
    facts = {**task.facts, image.id: facts_of(image)}
    return replace(task, images=(*task.images, image.id), facts=facts, tries=0, wakes=0)


def _captured_so_far(hold: NamedHold) -> int:
    try:
        return hold.captured_so_far()
    except HoldNotFound:
        return 0


def _name(task: ImageTask, index: int) -> str:
    return object_name(task.uid, image_id_of(task.id, index))
