"""Check that an image task ends the same way if its run dies, is overtaken, or the store fails.

Method: a trap acts before or after each effect of a run: a commit, a call of the model, an upload. The task has three
images, of which the model fails at the second. At the end there are two images, each with its own bytes and paid for
once, and nothing is held.
"""

import threading
from contextlib import suppress

import pytest

from shared.ai.images.documents import task_of
from shared.ai.images.store import image_id_of, object_name
from shared.ai.images.tasks import TASK_LIFETIME
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.clock import SECOND
from shared.kernel.errors import DomainError
from shared.kernel.objects import StorageUnavailable
from shared.platform.memory.image_model import ScriptedImageModel, png
from shared.sagas.images.start import WAKE_AFTER
from tests.support.faults import Crash
from tests.support.images import ANN, PAINTER, PRICE, ImageBackend, Trap
from tests.support.ledger_faults import COMMIT_FAULTS, Weather, fair, once

N = 3


class Second:
    """A model that fails at the second image, whoever asks: it looks at what the task has decided."""

    def __init__(self, backend, inner):
        self.backend, self.inner = backend, inner
        self.requests = inner.requests
        self.task_id = ""

    def generate(self, request):
        known = self.backend.documents.get(f"image_jobs/{self.task_id}")
        if known is not None and task_of(known).decided == 1:
            self.requests.append(request)
            raise UpstreamUnavailable
        return self.inner.generate(request)


def backend_with_task():
    """A backend whose model fails at second images, with a task that waits there."""
    backend = ImageBackend()
    backend.open()
    model = Second(backend, ScriptedImageModel())
    backend = backend.instance(model=model)
    model.task_id = backend.begin(N).id
    return backend, model.task_id


def effects_of_a_run():
    backend, task_id = backend_with_task()
    trap = Trap()
    trap.set_on(backend).job.run(task_id)
    backend.assert_sound(backend.task(task_id), made=2)
    return trap.count


EFFECTS = range(1, effects_of_a_run() + 1)


def crash():
    raise Crash


def wakes_up(trap, backend, task_id):
    """A run that is paused by the trap. For what it finds then, it may end in an error that calls for another run."""
    with suppress(DomainError):
        trap.set_on(backend).job.run(task_id)


def test_a_run_has_as_many_effects_as_it_needs():
    """Claim, begin; three calls, two uploads, three records; capture, finish."""
    assert len(EFFECTS) == 2 + 3 + 2 + 3 + 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_a_crash_anywhere_is_finished_by_the_next_run(at, when):
    backend, task_id = backend_with_task()
    with pytest.raises(Crash):
        Trap(at, when, crash).set_on(backend).job.run(task_id)

    task = backend.finish(task_id)

    backend.assert_sound(task, made=2)
    assert [failure.code for failure in task.failures] == ["upstream_unavailable"]
    assert N <= len(backend.model.requests) <= N + 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_a_crash_in_the_next_run_too_is_finished_by_the_third(at, when):
    backend, task_id = backend_with_task()
    with pytest.raises(Crash):
        Trap(5, "after", crash).set_on(backend).job.run(task_id)
    backend.pass_lease()
    with suppress(Crash):  # the second run has less to do than the first
        Trap(at, when, crash).set_on(backend).job.run(task_id)

    backend.assert_sound(backend.finish(task_id), made=2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_two_workers_after_a_crash_do_the_work_of_one(at, when):
    backend, task_id = backend_with_task()
    with pytest.raises(Crash):
        Trap(at, when, crash).set_on(backend).job.run(task_id)
    backend.pass_lease()

    failures = []

    def work():
        try:
            backend.instance().job.run(task_id)
        except DomainError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    backend.assert_sound(backend.finish(task_id), made=2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_a_paused_worker_that_wakes_after_all_is_done_changes_nothing(at, when):
    backend, task_id = backend_with_task()
    ends = []

    def others_go_on():
        backend.pass_lease()
        ends.append(backend.finish(task_id))

    wakes_up(Trap(at, when, others_go_on), backend, task_id)

    backend.assert_sound(backend.task(task_id), made=2)
    assert ends == [backend.task(task_id)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_a_paused_worker_that_wakes_in_the_middle_of_another_run_changes_nothing(at, when):
    """The heir is paused too, before it records what it painted; then both go on."""
    backend, task_id = backend_with_task()

    def another_begins():
        backend.pass_lease()
        with suppress(Crash):  # near the end there is less to crash at
            Trap(4, "before", crash).set_on(backend).job.run(task_id)

    wakes_up(Trap(at, when, another_begins), backend, task_id)

    backend.assert_sound(backend.finish(task_id), made=2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_a_user_who_leaves_while_a_worker_is_paused_leaves_nothing_behind(at, when):
    backend, task_id = backend_with_task()

    def leave():
        backend.tasks.erase(ANN)
        backend.images.erase(ANN)

    wakes_up(Trap(at, when, leave), backend, task_id)

    assert backend.documents.get(f"image_tasks/{task_id}") is None
    assert backend.documents.get(f"image_jobs/{task_id}") is None
    assert backend.images.list(ANN).items == ()
    assert backend.kept() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", EFFECTS)
def test_images_that_are_deleted_while_a_worker_is_paused_stay_deleted(at, when):
    backend, task_id = backend_with_task()

    def finish_and_delete():
        backend.pass_lease()
        for image_id in backend.finish(task_id).images:
            backend.images.delete(ANN, image_id)

    wakes_up(Trap(at, when, finish_and_delete), backend, task_id)

    assert backend.images.list(ANN).items == ()
    assert backend.kept() == []
    assert sum(backend.charges()) == 2 * PRICE


# The store answers badly -----------------------------------------------------------------------------------------


def commits_of_a_run():
    backend, task_id = backend_with_task()
    weather = Weather(backend.documents, fair)
    backend.instance(documents=weather).job.run(task_id)
    return sum(call.kind == "commit" for call in weather.calls)


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(1, commits_of_a_run() + 1))
def test_whatever_a_commit_answers_the_task_ends_the_same(number, fault):
    backend, task_id = backend_with_task()
    weather = Weather(backend.documents, once("commit", number, fault), delay=3)
    with suppress(DomainError):
        backend.instance(documents=weather).job.run(task_id)

    task = backend.finish(task_id)
    weather.settle()

    backend.assert_sound(backend.task(task_id), made=2)
    assert backend.task(task_id) == task


@pytest.mark.parametrize("number", range(1, 8))
def test_a_store_that_cannot_be_read_for_a_moment_is_asked_again(number):
    backend, task_id = backend_with_task()
    with suppress(DomainError):
        backend.instance(documents=Weather(backend.documents, once("read", number, "unavailable"))).job.run(task_id)

    backend.assert_sound(backend.finish(task_id), made=2)


class Stormy:
    """A bucket that fails once at the given upload, before or after it has stored."""

    def __init__(self, inner, at, when):
        self.inner, self.at, self.when, self.puts = inner, at, when, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def put(self, name, content, content_type):
        self.puts += 1
        if self.puts == self.at and self.when == "before":
            raise StorageUnavailable
        is_written = self.inner.put(name, content, content_type)
        if self.puts == self.at:
            raise StorageUnavailable
        return is_written


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_bucket_that_fails_once_costs_a_call_of_ours_at_most(at, when):
    backend, task_id = backend_with_task()
    with pytest.raises(StorageUnavailable):
        backend.instance(objects=Stormy(backend.objects, at, when)).job.run(task_id)

    backend.assert_sound(backend.finish(task_id), made=2)

    assert len(backend.model.requests) == N + (when == "before")


# Beginning -------------------------------------------------------------------------------------------------------


def effects_of_a_start():
    backend = ImageBackend().open()
    trap = Trap()
    trap.set_on(backend).begin(key="k")
    return trap.count


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, effects_of_a_start() + 1))
def test_a_start_that_crashed_can_be_asked_for_again(at, when):
    backend = ImageBackend().open(1)
    with pytest.raises(Crash):
        Trap(at, when, crash).set_on(backend).begin(key="k")

    task = backend.begin(key="k")

    backend.assert_sound(backend.finish(task.id), made=1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, effects_of_a_start() + 1))
def test_a_start_that_crashed_and_is_never_asked_for_again_costs_what_it_made(at, when):
    backend = ImageBackend().open(1)
    with pytest.raises(Crash):
        Trap(at, when, crash).set_on(backend).begin(key="k")

    for _ in range(30):
        backend.clock.advance(60_000)
        backend.sweep_once()
        for task_id in backend.called_for():
            backend.job.run(task_id)
    backend.ledger.expire_due(ANN)

    made = backend.images.list(ANN).items
    assert backend.ledger.balance(ANN).held == 0
    assert sum(backend.charges()) == len(made) * PRICE
    assert len(made) == ((at, when) == (effects_of_a_start(), "after"))


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(1, effects_of_a_start() + 1))
def test_whatever_a_commit_answers_a_start_begins_one_task(number, fault):
    backend = ImageBackend().open(1)
    weather = Weather(backend.documents, once("commit", number, fault), delay=3)
    with suppress(DomainError):
        backend.instance(documents=weather).begin(key="k")

    task = backend.begin(key="k")
    weather.settle()

    backend.assert_sound(backend.finish(task.id), made=1)


def test_many_workers_of_many_tasks_make_each_image_once():
    backend = ImageBackend().open(40)
    tasks = [backend.begin(2) for _ in range(6)]

    def work():
        own = backend.instance()
        for task in tasks:
            own.job.run(task.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    made = [backend.finish(task.id) for task in tasks]
    assert [len(task.images) for task in made] == [2] * 6
    assert sum(backend.charges()) == 12 * PRICE
    assert len(backend.model.requests) == 12


# Two at the same object ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wakes_at", range(1, len(EFFECTS) + 1))
@pytest.mark.parametrize("paused_at", EFFECTS)
def test_a_paused_worker_that_wakes_at_any_moment_of_its_heirs_run_changes_nothing(paused_at, wakes_at):
    backend, task_id = backend_with_task()
    is_paused, may_go_on = threading.Event(), threading.Event()

    def pause():
        is_paused.set()
        assert may_go_on.wait(60)

    zombie = threading.Thread(target=wakes_up, args=(Trap(paused_at, "after", pause), backend, task_id))

    def wake():
        may_go_on.set()
        zombie.join(60)

    zombie.start()
    assert is_paused.wait(60)
    backend.pass_lease()
    wakes_up(Trap(wakes_at, "before", wake), backend, task_id)
    wake()

    backend.assert_sound(backend.finish(task_id), made=2)


def test_bytes_that_another_worker_stored_meanwhile_are_the_ones_that_are_recorded():
    backend = ImageBackend().open()
    task = backend.begin()

    class Overtaken(ScriptedImageModel):
        """Somebody else uploads while this one paints."""

        def generate(self, request):
            backend.objects.put(object_name(ANN, image_id_of(task.id, 0)), png(77), "image/png")
            return ScriptedImageModel.generate(self, request)

    backend.instance(model=Overtaken()).job.run(task.id)

    assert backend.images.list(ANN).items[0].width == 77
    backend.assert_sound(backend.task(task.id), made=1)


def test_what_was_stored_for_an_image_that_is_given_up_is_removed():
    backend = ImageBackend().open()
    task = backend.begin()
    with pytest.raises(Crash):
        Trap(4, "after", crash).set_on(backend).job.run(task.id)
    assert len(backend.kept()) == 1

    backend.clock.advance(TASK_LIFETIME)

    backend.assert_sound(backend.finish(task.id), made=0)


def test_a_hold_that_ends_after_a_crash_charges_no_more_than_was_made():
    backend = ImageBackend().open()
    made: list[object] = []

    class Slow(ScriptedImageModel):
        def generate(self, request):
            if len(made) == 6:
                raise Crash
            backend.clock.advance(149 * SECOND)
            made.append(request)
            return ScriptedImageModel.generate(self, request)

    slow = backend.instance(model=Slow())
    task = slow.begin(10)
    with suppress(Crash):
        for _ in range(10):
            slow.job.run(task.id)
    backend.clock.advance(TASK_LIFETIME)

    ended = backend.finish(task.id)

    assert len(ended.images) == 6
    assert ended.cost == sum(backend.charges())
    assert 3 * PRICE <= ended.cost <= 6 * PRICE
    assert (backend.ledger.balance(ANN).held, backend.ledger.verify(ANN)) == (0, [])


# Beginning and sweeping, more narrowly ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
def test_an_unclear_answer_to_the_tasks_creation_is_settled_by_reading(fault):
    backend = ImageBackend().open(1)
    weather = Weather(backend.documents, once("commit", effects_of_a_start(), fault))

    task = backend.instance(documents=weather).begin(key="k")

    assert backend.called_for() == [task.id]
    backend.assert_sound(backend.finish(task.id), made=1)


def test_a_start_that_comes_back_after_a_change_of_price_pays_what_was_held():
    backend = ImageBackend().open(5)
    with pytest.raises(Crash):
        Trap(effects_of_a_start(), "before", crash).set_on(backend).begin(2, key="k")
    backend.catalogue.put("painter", {**PAINTER, "image_usd_by_size": {"1024x1024": "9"}})
    backend = backend.instance()

    task = backend.begin(2, key="k")

    assert task.price == PRICE
    backend.assert_sound(backend.finish(task.id), made=2)


def test_a_sweep_that_is_overtaken_by_a_worker_leaves_the_task_alone():
    backend = ImageBackend().open()
    task = backend.begin()
    backend.clock.advance(WAKE_AFTER)

    def worker_comes() -> None:
        backend.job.run(task.id)

    Trap(1, "before", worker_comes).set_on(backend).sweep_once()

    assert backend.documents.get(f"image_jobs/{task.id}").data["due_at"] is None
    assert backend.called_for() == [task.id]
