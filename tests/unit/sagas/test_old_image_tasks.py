"""Image tasks stored when workers and owners shared one document: read as they are, moved by their next worker."""

import pytest

from shared.ai.images.documents import job_path_of, path_of, shard_of
from shared.ai.images.tasks import ImageTask
from shared.kernel.clock import MINUTE, SECOND, to_datetime
from shared.kernel.documents import Create, Delete, Patch, Put
from shared.sagas.engine.leases import FREE
from shared.sagas.images.start import WAKE_AFTER
from tests.support.faults import Crash
from tests.support.images import ANN, ImageBackend, Trap
from tests.support.live import check_live

UPSTREAM = ("upstream_model", "wants_base64", "fingerprint")


def old_data(task: ImageTask, *, due_at: int | None) -> dict:
    """What was stored before the task had a document for workers."""
    names = ("uid", "spender", "status", "prompt", "model", "size", "n", "price", "price_snapshot", "hold")
    more = ("hold_until", "tries", "wakes", "cost", "created_at", "updated_at", "deadline_at", "finished_at")
    failures = [{"index": failure.index, "code": failure.code} for failure in task.failures]
    return {
        "v": 1,
        **{name: getattr(task, name) for name in (*names, *more)},
        "images": list(task.images),
        "failures": failures,
        "due_shard": shard_of(task.id),
        "due_at": due_at,
        "lease": dict(FREE),
    }


def make_old(backend: ImageBackend, task: ImageTask, *, is_whole: bool = False) -> ImageTask:
    """Store the task in the old form; `is_whole` is older still, when there was no `image_asks`."""
    job = backend.documents.get(job_path_of(task.id))
    own = {name: getattr(task, name) for name in UPSTREAM}
    data = old_data(task, due_at=job.data["due_at"])
    writes = [Delete(job_path_of(task.id)), Put(path_of(task.id), {**data, **own} if is_whole else data)]
    if not is_whole:
        writes.append(Create(f"image_asks/{task.id}", {"v": 1, "uid": task.uid, **own}))
    backend.documents.inner.commit(writes)
    return task


@pytest.fixture
def backend():
    return ImageBackend().open()


@pytest.mark.parametrize("is_whole", [False, True])
def test_an_old_task_is_moved_and_painted_by_its_worker(backend, is_whole):
    task = make_old(backend, backend.begin(2), is_whole=is_whole)

    backend.job.run(task.id)

    backend.assert_sound(backend.task(task.id), made=2)
    assert [request.model for request in backend.model.requests] == ["painter"] * 2
    check_live("image_tasks", backend.documents.get(path_of(task.id)).data)
    assert backend.documents.get(f"image_asks/{task.id}") is None


def test_old_task_is_painted_by_its_stored_upstream(backend):
    task = make_old(backend, backend.begin(), is_whole=True)
    backend.documents.inner.commit([Patch(path_of(task.id), {"upstream_model": "up/old", "wants_base64": True})])

    backend.job.run(task.id)

    assert [(request.model, request.wants_base64) for request in backend.model.requests] == [("up/old", True)]


def test_an_old_task_is_read_without_being_moved(backend):
    task = make_old(backend, backend.begin())
    before = backend.documents.get(path_of(task.id))

    found = backend.task(task.id)

    assert (found.id, found.status, found.prompt, found.price) == (task.id, "queued", task.prompt, task.price)
    assert backend.documents.get(path_of(task.id)) == before
    assert backend.documents.get(job_path_of(task.id)) is None


def test_an_old_task_without_a_message_is_found_by_the_sweep(backend):
    task = make_old(backend, backend.begin())
    backend.clock.advance(WAKE_AFTER)

    backend.assert_sound(backend.finish(task.id), made=1)


def test_a_request_repeated_finds_its_old_task(backend):
    task = make_old(backend, backend.begin(key="k"))

    assert backend.begin(key="k") == task


def test_the_open_tasks_of_a_key_are_of_both_forms(backend):
    old, new = make_old(backend, backend.begin()), backend.begin()

    assert sorted(backend.tasks.open_of(ANN, 10)) == sorted([old.id, new.id])


def test_an_old_task_that_a_worker_has_is_left_to_that_worker(backend):
    task = make_old(backend, backend.begin())
    lease = {**FREE, "token": "t", "fence": 1, "until": to_datetime(backend.clock.now() + MINUTE), "stamp": "s"}
    backend.documents.inner.commit([Patch(path_of(task.id), {"lease": lease})])

    assert backend.job.run(task.id) is None
    backend.clock.advance(MINUTE + SECOND)
    backend.assert_sound(backend.finish(task.id), made=1)


def test_a_move_keeps_the_images_that_were_not_deleted(backend):
    task = backend.begin(3)
    with pytest.raises(Crash):
        Trap(8, "after", _crash).set_on(backend).job.run(task.id)
    gone, kept = backend.task(task.id).images
    make_old(backend, backend.task(task.id))
    backend.images.delete(ANN, gone)

    done = backend.finish(task.id)

    shown = backend.documents.get(path_of(task.id)).data
    assert [image["id"] for image in shown["images"]] == [kept, done.images[2]]
    assert (done.status, done.decided) == ("done", 3)


def test_of_two_moves_of_an_old_task_one_wins(backend):
    task = make_old(backend, backend.begin())

    found = []
    Trap(1, "before", lambda: found.append(backend.tasks.for_work(task.id))).set_on(backend).job.run(task.id)

    assert [document.path for document in found] == [job_path_of(task.id)]
    backend.assert_sound(backend.task(task.id), made=1)


@pytest.mark.parametrize("is_moved", [False, True])
def test_who_leaves_leaves_no_document_of_an_old_task(backend, is_moved):
    task = make_old(backend, backend.begin())
    if is_moved:
        backend.tasks.for_work(task.id)

    backend.tasks.erase(ANN)

    paths = [path_of(task.id), job_path_of(task.id), f"image_asks/{task.id}"]
    assert backend.documents.get_all(paths) == [None, None, None]


def test_an_eraser_during_a_move_leaves_nothing_behind(backend):
    task = make_old(backend, backend.begin())

    Trap(1, "before", lambda: backend.tasks.erase(ANN)).set_on(backend).job.run(task.id)

    assert backend.documents.get_all([path_of(task.id), job_path_of(task.id)]) == [None, None]


def _crash() -> None:
    raise Crash
