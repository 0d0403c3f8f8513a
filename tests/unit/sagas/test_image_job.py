"""What an image task costs, and what becomes of it, when nothing dies on the way."""

import threading
from itertools import pairwise

import pytest

from shared.ai.images.store import ImageNotFound
from shared.ai.images.tasks import IMAGES_MAX, TASK_LIFETIME, Failure, ImageTaskNotFound
from shared.ai.models.catalogue import ModelNotFound
from shared.ai.models.tariff import SizeNotOffered
from shared.ai.pictures import NoPicture
from shared.ai.ports import UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.errors import IdempotencyMismatch, InvalidValue, Unavailable
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.kernel.objects import StorageUnavailable
from shared.ledger.commands import BudgetClaim, Close, Freeze
from shared.ledger.errors import AccountFrozen, BudgetExceeded, InsufficientCredits
from shared.ledger.losses import LossSum
from shared.platform.memory.image_model import ScriptedImageModel, png
from shared.sagas.images.job import RETRY_AFTER, SLICE_SECONDS, TRIES_MAX
from shared.sagas.images.start import WAKE_AFTER
from tests.support.faults import Crash
from tests.support.images import ANN, PAINTER, PRICE, ImageBackend, Trap

BOB = Uid("bob")


def backend_of(*script, images=10):
    return ImageBackend(model=ScriptedImageModel(script)).open(images)


@pytest.fixture
def backend():
    return backend_of()


class Mute:
    """A broker that takes nothing."""

    def publish(self, messages):
        raise Unavailable("no broker")


def crash():
    raise Crash


# What it makes, and what that costs ------------------------------------------------------------------------------


def test_a_task_makes_its_images_and_charges_them_once(backend):
    task = backend.begin(3)

    done = backend.job.run(task.id)

    assert done == backend.task(task.id)
    assert (done.status, done.cost, done.finished_at) == ("done", 3 * PRICE, backend.clock.now())
    backend.assert_sound(done, made=3)
    assert backend.charges() == [3 * PRICE]
    assert backend.ledger.balance(ANN).available == 7 * PRICE


def test_an_image_knows_what_it_is(backend):
    task = backend.begin(size="1536x1024")

    (image,) = backend.images.of(backend.job.run(task.id).images)

    assert (image.uid, image.task_id, image.prompt, image.model) == (ANN, task.id, "A fox in the snow", "painter")
    assert (image.content_type, image.width, image.height, image.size) == ("image/png", 4, 3, "1536x1024")
    assert (image.bytes, image.cost) == (len(png(4)), 2 * PRICE)
    assert backend.images.content(image) == png(4)
    assert backend.images.content(image, 1, 3) == b"PNG"


def test_what_the_model_is_asked(backend):
    backend.catalogue.put("other", {**PAINTER, "upstream_model": "up/other", "capabilities": ["b64_json"]})

    backend.job.run(backend.begin(2, model="other").id)

    asked = backend.model.requests
    assert [(one.model, one.prompt, one.size, one.wants_base64) for one in asked] == [
        ("up/other", "A fox in the snow", "1024x1024", True)
    ] * 2


def test_a_task_tells_its_owner_no_upstream_and_no_fingerprint(backend):
    backend.catalogue.put("other", {**PAINTER, "upstream_model": "up/other"})

    task = backend.begin(model="other")
    backend.job.run(task.id)

    document = backend.documents.get(f"image_tasks/{task.id}")
    assert not {"upstream_model", "wants_base64", "fingerprint"} & document.data.keys()
    assert "up/other" not in str(document.data)


def test_the_model_is_the_requests_else_the_users_else_the_default(backend):
    for name in ("a", "b"):
        backend.catalogue.put(name, PAINTER)

    plain = backend.begin()
    backend.preferences.put(ANN, {"image_model": "a"})
    models = [plain.model, backend.begin().model, backend.begin(model="b").model]

    assert models == ["painter", "a", "b"]


def test_a_failed_image_costs_nothing():
    backend = backend_of(UpstreamUnavailable())
    task = backend.begin()

    failed = backend.job.run(task.id)

    assert (failed.status, failed.failures) == ("failed", (Failure(index=0, code="upstream_unavailable"),))
    backend.assert_sound(failed, made=0)
    assert backend.ledger.balance(ANN).available == 10 * PRICE


def test_an_image_cut_by_our_time_limit_is_paid_for_and_says_so():
    backend = backend_of(None, UpstreamTimedOut())

    done = backend.job.run(backend.begin(2).id)

    assert done.failures == (Failure(index=1, code="upstream_unavailable", is_charged=True),)
    assert backend.tasks.get(ANN, done.id) == done
    assert (done.cost, backend.ledger.balance(ANN).available) == (2 * PRICE, 8 * PRICE)


def test_an_image_that_its_provider_failed_is_counted_as_ours():
    backend = backend_of(UpstreamUnavailable(has_begun=True))

    backend.job.run(backend.begin().id)

    assert backend.losses.window(ANN).of("provider_failed") == LossSum(1, PRICE)
    assert backend.ledger.balance(ANN).available == 10 * PRICE


def test_a_partly_failed_batch_costs_its_images():
    backend = backend_of(None, UpstreamUnavailable(), NoPicture("it is no picture"), None)

    done = backend.job.run(backend.begin(4).id)

    assert done.status == "done"
    assert done.failures == (Failure(index=1, code="upstream_unavailable"), Failure(index=2, code="no_picture"))
    backend.assert_sound(done, made=2)


def test_a_refused_prompt_is_not_asked_again():
    backend = backend_of(None, UpstreamRejected())

    done = backend.job.run(backend.begin(5).id)

    assert [failure.code for failure in done.failures] == ["upstream_rejected"] * 4
    assert len(backend.model.requests) == 2
    backend.assert_sound(done, made=1)


@pytest.mark.parametrize("content", [b"", b"<svg/>", png()[:-1], b"GIF89a"])
def test_what_is_no_picture_is_neither_kept_nor_charged(content):
    backend = backend_of(content)

    failed = backend.job.run(backend.begin().id)

    assert failed.failures == (Failure(index=0, code="no_picture"),)
    backend.assert_sound(failed, made=0)


def test_a_free_model_paints_for_nothing(backend):
    backend.catalogue.put("free", {"kind": "image", "image_usd": "0"})

    done = backend.job.run(backend.begin(2, model="free").id)

    backend.assert_sound(done, made=2)
    assert backend.ledger.balance(ANN).available == 10 * PRICE


def test_the_price_is_the_one_that_was_held(backend):
    task = backend.begin(2)
    backend.catalogue.put("painter", {**PAINTER, "image_usd_by_size": {"1024x1024": "9"}})

    done = backend.job.run(task.id)

    assert done.cost == 2 * PRICE
    assert done.price_snapshot == {
        "version": "1",
        "image_credits": "1",
    }


def test_the_owner_sees_each_image_as_it_is_made(backend):
    seen: list[tuple[str, int]] = []

    class Watching(ScriptedImageModel):
        def generate(self, request):
            task = backend.task(begun.id)
            seen.append((task.status, len(task.images)))
            return ScriptedImageModel.generate(self, request)

    begun = backend.begin(3)

    backend.instance(model=Watching()).job.run(begun.id)

    assert begun.status == "queued"
    assert seen == [("running", 0), ("running", 1), ("running", 2)]


# Beginning -------------------------------------------------------------------------------------------------------


def test_a_task_is_called_for_once_and_its_credits_are_set_aside(backend):
    begun = backend.begun(4)

    assert backend.called_for() == [begun.task.id]
    assert begun.available == 6 * PRICE
    balance = backend.ledger.balance(ANN)
    assert (balance.available, balance.held) == (6 * PRICE, 4 * PRICE)


def test_of_twenty_calls_on_a_budget_for_one_exactly_one_begins():
    backend = backend_of(images=1)
    begun, refused = [], []

    def ask():
        try:
            begun.append(backend.instance().begin())
        except InsufficientCredits as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(begun), len(refused)) == (1, 19)
    assert backend.called_for() == [begun[0].id]
    backend.assert_sound(backend.finish(begun[0].id), made=1)


def test_a_cap_counts_every_task_that_names_it(backend):
    cap = (BudgetClaim(id="key:k1:total", limit=Micro(3 * PRICE)),)
    backend.job.run(backend.begin(2, budgets=cap).id)

    with pytest.raises(BudgetExceeded):
        backend.begin(2, budgets=cap)

    assert backend.begin(1, budgets=cap).n == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "nobody"}, ModelNotFound),
        ({"model": "chatty"}, ModelNotFound),
        ({"size": "64x64"}, SizeNotOffered),
        ({"size": "1024x1024\n"}, SizeNotOffered),
    ],
)
def test_what_is_not_offered_or_has_no_price_is_refused_before_anything(backend, fields, error):
    chat = {"kind": "chat", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1", "context_window": 9}
    backend.catalogue.put("chatty", {**chat, "max_output_tokens": 9})
    before = backend.ledger.balance(ANN)

    with pytest.raises(error):
        backend.begin(**fields)

    assert (backend.called_for(), backend.ledger.balance(ANN)) == ([], before)


@pytest.mark.parametrize("n", [0, -1, IMAGES_MAX + 1])
def test_a_task_has_one_to_ten_images(backend, n):
    with pytest.raises(InvalidValue):
        backend.begin(n)


def test_the_same_key_finds_the_task_that_it_began(backend):
    first = backend.begun(2, key="k")
    backend.job.run(first.task.id)

    again = backend.begun(2, key="k")

    assert (again.task.id, again.available) == (first.task.id, None)
    assert backend.called_for() == [first.task.id]
    assert backend.charges() == [2 * PRICE]


def test_the_same_key_with_another_request_is_a_conflict(backend):
    backend.begin(2, key="k")

    with pytest.raises(IdempotencyMismatch):
        backend.begin(3, key="k")


def test_the_same_key_is_another_users_own(backend):
    backend.open(1, uid=BOB)

    ids = {backend.begin(key="k").id, backend.begin(key="k", uid=BOB).id}

    assert len(ids) == 2


def test_a_key_that_comes_back_after_its_hold_has_ended_is_held_for_again(backend):
    with pytest.raises(Crash):
        Trap(2, "before", crash).set_on(backend).begin(key="k")
    backend.clock.advance(20 * MINUTE)

    done = backend.finish(backend.begin(key="k").id)

    backend.assert_sound(done, made=1)


def test_a_message_that_cannot_be_sent_is_sent_by_the_sweep(backend):
    task = backend.instance(publisher=Mute()).begin()
    assert backend.sweep_once() == 0
    backend.clock.advance(WAKE_AFTER)

    assert backend.sweep_once() == 1
    assert backend.called_for() == [task.id]


# Delivered more than once, late, or never ------------------------------------------------------------------------


def test_a_message_that_comes_again_finds_nothing_to_do(backend):
    task = backend.begin(2)

    runs = [backend.job.run(task.id) for _ in range(3)]

    assert runs[1:] == [None, None]
    assert len(backend.model.requests) == 2
    backend.assert_sound(backend.task(task.id), made=2)


def test_a_message_for_a_task_that_is_gone_is_nothing(backend):
    assert backend.job.run("imgtask_000000000000000000000000") is None


def test_while_one_worker_paints_another_leaves_it_alone(backend):
    task = backend.begin()
    others = []

    class Calling(ScriptedImageModel):
        def generate(self, request):
            others.append(backend.job.run(task.id))
            return ScriptedImageModel.generate(self, request)

    backend.instance(model=Calling()).job.run(task.id)

    assert others == [None]
    backend.assert_sound(backend.task(task.id), made=1)


def test_a_task_that_is_worked_on_is_not_swept(backend):
    task = backend.begin()
    swept = []

    class Slow(ScriptedImageModel):
        def generate(self, request):
            backend.clock.advance(150 * SECOND)
            swept.append(backend.sweep_once())
            return ScriptedImageModel.generate(self, request)

    backend.instance(model=Slow()).job.run(task.id)

    assert swept == [0]


def test_a_finished_task_is_not_swept(backend):
    backend.job.run(backend.begin().id)
    backend.clock.advance(TASK_LIFETIME * 2)

    assert backend.sweep_once() == 0


def test_the_sweep_calls_less_and_less_often_for_a_task_that_does_not_move(backend):
    task = backend.begin()
    calls = []
    for minute in range(55):
        before = len(backend.called_for())
        backend.sweep_once()
        if len(backend.called_for()) > before:
            calls.append(minute)
        backend.clock.advance(MINUTE)

    assert [later - earlier for earlier, later in pairwise(calls)] == [1, 2, 4, 8, 16]
    assert backend.task(task.id).wakes == len(calls)


def test_a_task_that_is_not_made_in_its_time_fails_without_a_broker(backend):
    mute = backend.instance(publisher=Mute())
    task = mute.begin(2)
    minutes = 0
    while backend.task(task.id).is_open:
        backend.clock.advance(MINUTE)
        minutes += 1
        mute.sweep_once()

    failed = backend.task(task.id)
    assert 60 <= minutes <= 61

    assert [failure.code for failure in failed.failures] == ["timed_out"] * 2
    assert failed.status == "failed"
    backend.assert_sound(failed, made=0)
    assert backend.model.requests == []
    assert backend.ledger.balance(ANN).available == 10 * PRICE


def test_a_run_that_has_worked_long_enough_calls_for_the_next(backend):
    class Slow(ScriptedImageModel):
        def generate(self, request):
            backend.clock.advance(150 * SECOND)
            return ScriptedImageModel.generate(self, request)

    slow = backend.instance(model=Slow())
    task = slow.begin(4)

    first = slow.job.run(task.id)
    assert (first.status, len(first.images)) == ("running", 2)
    assert SLICE_SECONDS < 2 * 150
    assert backend.called_for() == [task.id] * 2

    backend.assert_sound(slow.job.run(task.id), made=4)


def test_holds_live_as_long_as_the_work_and_note_what_was_used(backend):
    seen: list[tuple[str, bool]] = []

    class Slow(ScriptedImageModel):
        def generate(self, request):
            backend.clock.advance(149 * SECOND)
            hold = backend.ledger.hold(ANN, task.hold)
            seen.append((hold.status, hold.expires_at - backend.clock.now() > 200 * SECOND))
            return ScriptedImageModel.generate(self, request)

    slow = backend.instance(model=Slow())
    task = slow.begin(10)

    while slow.job.run(task.id).is_open:
        pass

    assert seen == [("active", True)] * 10
    backend.assert_sound(backend.task(task.id), made=10)


# It cannot go on -------------------------------------------------------------------------------------------------


def test_a_bucket_that_stays_away_is_a_dead_letter_with_an_alert(backend):
    class Away:
        def __getattr__(self, name):
            return getattr(backend.objects, name)

        def put(self, *_):
            raise StorageUnavailable

    away = backend.instance(objects=Away())
    task = away.begin(2)
    for _ in range(TRIES_MAX):
        with pytest.raises(StorageUnavailable):
            away.job.run(task.id)
        assert backend.task(task.id).is_open

    failed = away.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["given_up"] * 2
    backend.assert_sound(failed, made=0)
    assert [alert.event for alert in backend.alerts.raised] == ["image_task_given_up"]
    assert len(backend.model.requests) == TRIES_MAX


def test_a_fault_of_ours_is_tried_again_and_then_given_up_with_what_was_made(backend):
    class Broken(ScriptedImageModel):
        def generate(self, request):
            if len(self.requests) == 1:
                raise ZeroDivisionError
            return ScriptedImageModel.generate(self, request)

    broken = backend.instance(model=Broken())
    task = broken.begin(3)
    for _ in range(TRIES_MAX + 1):
        with pytest.raises(ZeroDivisionError):
            broken.job.run(task.id)

    done = broken.job.run(task.id)

    assert (done.status, len(done.images)) == ("done", 1)
    assert [failure.code for failure in done.failures] == ["given_up"] * 2
    backend.assert_sound(done, made=1)


def test_a_run_that_failed_lets_the_next_one_in_at_once(backend):
    class Once(ScriptedImageModel):
        def generate(self, request):
            if not self.requests:
                self.requests.append(request)
                raise ZeroDivisionError
            return ScriptedImageModel.generate(self, request)

    once = backend.instance(model=Once())
    task = once.begin()
    with pytest.raises(ZeroDivisionError):
        once.job.run(task.id)

    backend.clock.advance(RETRY_AFTER)
    assert backend.sweep_once() == 1
    backend.assert_sound(once.job.run(task.id), made=1)


def test_a_task_whose_hold_has_ended_paints_nothing_more(backend):
    task = backend.begin(2)
    backend.clock.advance(16 * MINUTE)

    failed = backend.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["hold_resolved"] * 2
    assert backend.model.requests == []
    backend.assert_sound(failed, made=0)


def test_what_was_made_before_a_hold_ended_is_the_users_and_ours_to_bear(backend):
    class Endless(ScriptedImageModel):
        def generate(self, request):
            picture = ScriptedImageModel.generate(self, request)
            backend.clock.advance(16 * MINUTE)
            return picture

    done = backend.instance(model=Endless()).job.run((task := backend.begin()).id)

    assert (done.status, done.cost, len(done.images)) == ("done", 0, 1)
    assert (backend.charges(), backend.ledger.balance(ANN).available) == ([], 10 * PRICE)
    assert backend.task(task.id) == done


def test_a_frozen_account_begins_nothing(backend):
    backend.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))

    with pytest.raises(AccountFrozen):
        backend.begin()


def test_an_account_frozen_meanwhile_pays_for_what_is_made_while_its_hold_lasts(backend):
    task = backend.begin()
    backend.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))

    backend.assert_sound(backend.job.run(task.id), made=1)


def test_an_account_frozen_meanwhile_renews_no_hold(backend):
    task = backend.begin(2)
    backend.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))
    backend.clock.advance(10 * MINUTE)

    failed = backend.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["account_frozen"] * 2
    backend.assert_sound(failed, made=0)


def test_an_account_that_is_closed_meanwhile_ends_its_task(backend):
    task = backend.begin()
    backend.ledger.execute(ANN, Close(operation=OperationId("op_close")))

    done = backend.job.run(task.id)

    assert (done.cost, backend.charges(), done.is_open) == (0, [], False)


# Reading and removing --------------------------------------------------------------------------------------------


def test_others_tasks_and_images_do_not_exist(backend):
    task = backend.job.run(backend.begin().id)

    with pytest.raises(ImageTaskNotFound):
        backend.tasks.get(BOB, task.id)
    with pytest.raises(ImageNotFound):
        backend.images.get(BOB, task.images[0])
    with pytest.raises(ImageNotFound):
        backend.images.delete(BOB, task.images[0])
    for name in ("", "a/b", "..", "__x__"):
        with pytest.raises(ImageTaskNotFound):
            backend.tasks.get(ANN, name)
        with pytest.raises(ImageNotFound):
            backend.images.get(ANN, name)


def test_images_are_listed_newest_first_in_pages(backend):
    made = []
    for _ in range(3):
        made += backend.job.run(backend.begin().id).images
        backend.clock.advance(SECOND)

    first = backend.images.list(ANN, limit=2)
    second = backend.images.list(ANN, limit=2, cursor=first.next_cursor)

    assert [image.id for image in [*first.items, *second.items]] == made[::-1]
    assert second.next_cursor is None


def test_a_deleted_image_is_gone_with_its_bytes(backend):
    task = backend.job.run(backend.begin(2).id)
    first, second = backend.images.of(task.images)

    backend.images.delete(ANN, first.id)

    assert backend.kept() == [f"images/ann/{second.id}"]
    assert backend.images.of(task.images) == [second]
    for gone in (lambda: backend.images.content(first), lambda: backend.images.delete(ANN, first.id)):
        with pytest.raises(ImageNotFound):
            gone()


def test_a_deletion_that_failed_halfway_can_be_asked_for_again(backend):
    task = backend.job.run(backend.begin().id)

    with pytest.raises(Crash):
        Trap(1, "after", crash).set_on(backend).images.delete(ANN, task.images[0])
    backend.images.delete(ANN, task.images[0])

    assert (backend.kept(), backend.images.list(ANN).items) == ([], ())


def test_who_leaves_leaves_no_image_task_or_byte(backend):
    backend.open(3, uid=BOB)
    for uid in (ANN, ANN, BOB):
        backend.job.run(backend.begin(2 if uid == ANN else 1, uid=uid).id)
    backend.objects.put("images/ann/stray", b"x", "image/png")

    backend.tasks.erase(ANN)
    backend.images.erase(ANN)

    assert (backend.kept(), backend.images.list(ANN).items) == ([], ())
    assert len(backend.kept(BOB)) == len(backend.images.list(BOB).items) == 1
