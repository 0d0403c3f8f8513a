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
from tests.support.studio import ANN, PAINTER, PRICE, Studio, Trap

BOB = Uid("bob")


def studio_of(*script, images=10):
    return Studio(model=ScriptedImageModel(script)).open(images)


@pytest.fixture
def studio():
    return studio_of()


class Mute:
    """A broker that takes nothing."""

    def publish(self, messages):
        raise Unavailable("no broker")


def crash():
    raise Crash


# What it makes, and what that costs ------------------------------------------------------------------------------


def test_a_task_makes_its_images_and_charges_them_once(studio):
    task = studio.begin(3)

    done = studio.job.run(task.id)

    assert done == studio.task(task.id)
    assert (done.status, done.cost, done.finished_at) == ("done", 3 * PRICE, studio.clock.now())
    studio.assert_sound(done, made=3)
    assert studio.charges() == [3 * PRICE]
    assert studio.ledger.balance(ANN).available == 7 * PRICE


def test_an_image_knows_what_it_is(studio):
    task = studio.begin(size="1536x1024")

    (image,) = studio.images.of(studio.job.run(task.id).images)

    assert (image.uid, image.task_id, image.prompt, image.model) == (ANN, task.id, "A fox in the snow", "painter")
    assert (image.content_type, image.width, image.height, image.size) == ("image/png", 4, 3, "1536x1024")
    assert (image.bytes, image.cost) == (len(png(4)), 2 * PRICE)
    assert studio.images.content(image) == png(4)
    assert studio.images.content(image, 1, 3) == b"PNG"


def test_what_the_model_is_asked(studio):
    studio.catalogue.put("other", {**PAINTER, "upstream_model": "up/other", "capabilities": ["b64_json"]})

    studio.job.run(studio.begin(2, model="other").id)

    asked = studio.model.requests
    assert [(one.model, one.prompt, one.size, one.wants_base64) for one in asked] == [
        ("up/other", "A fox in the snow", "1024x1024", True)
    ] * 2


def test_a_task_tells_its_owner_no_upstream_and_no_fingerprint(studio):
    studio.catalogue.put("other", {**PAINTER, "upstream_model": "up/other"})

    task = studio.begin(model="other")
    studio.job.run(task.id)

    document = studio.documents.get(f"image_tasks/{task.id}")
    assert not {"upstream_model", "wants_base64", "fingerprint"} & document.data.keys()
    assert "up/other" not in str(document.data)


def test_the_model_is_the_requests_else_the_users_else_the_default(studio):
    for name in ("a", "b"):
        studio.catalogue.put(name, PAINTER)

    plain = studio.begin()
    studio.preferences.put(ANN, {"image_model": "a"})
    models = [plain.model, studio.begin().model, studio.begin(model="b").model]

    assert models == ["painter", "a", "b"]


def test_a_failed_image_costs_nothing():
    studio = studio_of(UpstreamUnavailable())
    task = studio.begin()

    failed = studio.job.run(task.id)

    assert (failed.status, failed.failures) == ("failed", (Failure(index=0, code="upstream_unavailable"),))
    studio.assert_sound(failed, made=0)
    assert studio.ledger.balance(ANN).available == 10 * PRICE


def test_an_image_cut_by_our_time_limit_is_paid_for_and_says_so():
    studio = studio_of(None, UpstreamTimedOut())

    done = studio.job.run(studio.begin(2).id)

    assert done.failures == (Failure(index=1, code="upstream_unavailable", is_charged=True),)
    assert studio.tasks.get(ANN, done.id) == done
    assert (done.cost, studio.ledger.balance(ANN).available) == (2 * PRICE, 8 * PRICE)


def test_an_image_that_its_provider_failed_is_counted_as_ours():
    studio = studio_of(UpstreamUnavailable(has_begun=True))

    studio.job.run(studio.begin().id)

    assert studio.losses.window(ANN).of("provider_failed") == LossSum(1, PRICE)
    assert studio.ledger.balance(ANN).available == 10 * PRICE


def test_a_partly_failed_batch_costs_its_images():
    studio = studio_of(None, UpstreamUnavailable(), NoPicture("it is no picture"), None)

    done = studio.job.run(studio.begin(4).id)

    assert done.status == "done"
    assert done.failures == (Failure(index=1, code="upstream_unavailable"), Failure(index=2, code="no_picture"))
    studio.assert_sound(done, made=2)


def test_a_refused_prompt_is_not_asked_again():
    studio = studio_of(None, UpstreamRejected())

    done = studio.job.run(studio.begin(5).id)

    assert [failure.code for failure in done.failures] == ["upstream_rejected"] * 4
    assert len(studio.model.requests) == 2
    studio.assert_sound(done, made=1)


@pytest.mark.parametrize("content", [b"", b"<svg/>", png()[:-1], b"GIF89a"])
def test_what_is_no_picture_is_neither_kept_nor_charged(content):
    studio = studio_of(content)

    failed = studio.job.run(studio.begin().id)

    assert failed.failures == (Failure(index=0, code="no_picture"),)
    studio.assert_sound(failed, made=0)


def test_a_free_model_paints_for_nothing(studio):
    studio.catalogue.put("free", {"kind": "image", "image_usd": "0"})

    done = studio.job.run(studio.begin(2, model="free").id)

    studio.assert_sound(done, made=2)
    assert studio.ledger.balance(ANN).available == 10 * PRICE


def test_the_price_is_the_one_that_was_held(studio):
    task = studio.begin(2)
    studio.catalogue.put("painter", {**PAINTER, "image_usd_by_size": {"1024x1024": "9"}})

    done = studio.job.run(task.id)

    assert done.cost == 2 * PRICE
    assert done.price_snapshot == {
        "version": "1",
        "image_credits": "1",
    }


def test_the_owner_sees_each_image_as_it_is_made(studio):
    seen: list[tuple[str, int]] = []

    class Watching(ScriptedImageModel):
        def generate(self, request):
            task = studio.task(begun.id)
            seen.append((task.status, len(task.images)))
            return ScriptedImageModel.generate(self, request)

    begun = studio.begin(3)

    studio.instance(model=Watching()).job.run(begun.id)

    assert begun.status == "queued"
    assert seen == [("running", 0), ("running", 1), ("running", 2)]


# Beginning -------------------------------------------------------------------------------------------------------


def test_a_task_is_called_for_once_and_its_credits_are_set_aside(studio):
    begun = studio.begun(4)

    assert studio.called_for() == [begun.task.id]
    assert begun.available == 6 * PRICE
    balance = studio.ledger.balance(ANN)
    assert (balance.available, balance.held) == (6 * PRICE, 4 * PRICE)


def test_of_twenty_calls_on_a_budget_for_one_exactly_one_begins():
    studio = studio_of(images=1)
    begun, refused = [], []

    def ask():
        try:
            begun.append(studio.instance().begin())
        except InsufficientCredits as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(begun), len(refused)) == (1, 19)
    assert studio.called_for() == [begun[0].id]
    studio.assert_sound(studio.finish(begun[0].id), made=1)


def test_a_cap_counts_every_task_that_names_it(studio):
    cap = (BudgetClaim(id="key:k1:total", limit=Micro(3 * PRICE)),)
    studio.job.run(studio.begin(2, budgets=cap).id)

    with pytest.raises(BudgetExceeded):
        studio.begin(2, budgets=cap)

    assert studio.begin(1, budgets=cap).n == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "nobody"}, ModelNotFound),
        ({"model": "chatty"}, ModelNotFound),
        ({"size": "64x64"}, SizeNotOffered),
        ({"size": "1024x1024\n"}, SizeNotOffered),
    ],
)
def test_what_is_not_offered_or_has_no_price_is_refused_before_anything(studio, fields, error):
    chat = {"kind": "chat", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1", "context_window": 9}
    studio.catalogue.put("chatty", {**chat, "max_output_tokens": 9})
    before = studio.ledger.balance(ANN)

    with pytest.raises(error):
        studio.begin(**fields)

    assert (studio.called_for(), studio.ledger.balance(ANN)) == ([], before)


@pytest.mark.parametrize("n", [0, -1, IMAGES_MAX + 1])
def test_a_task_has_one_to_ten_images(studio, n):
    with pytest.raises(InvalidValue):
        studio.begin(n)


def test_the_same_key_finds_the_task_that_it_began(studio):
    first = studio.begun(2, key="k")
    studio.job.run(first.task.id)

    again = studio.begun(2, key="k")

    assert (again.task.id, again.available) == (first.task.id, None)
    assert studio.called_for() == [first.task.id]
    assert studio.charges() == [2 * PRICE]


def test_the_same_key_with_another_request_is_a_conflict(studio):
    studio.begin(2, key="k")

    with pytest.raises(IdempotencyMismatch):
        studio.begin(3, key="k")


def test_the_same_key_is_another_users_own(studio):
    studio.open(1, uid=BOB)

    ids = {studio.begin(key="k").id, studio.begin(key="k", uid=BOB).id}

    assert len(ids) == 2


def test_a_key_that_comes_back_after_its_hold_has_ended_is_held_for_again(studio):
    with pytest.raises(Crash):
        Trap(2, "before", crash).set_on(studio).begin(key="k")
    studio.clock.advance(20 * MINUTE)

    done = studio.finish(studio.begin(key="k").id)

    studio.assert_sound(done, made=1)


def test_a_message_that_cannot_be_sent_is_sent_by_the_sweep(studio):
    task = studio.instance(publisher=Mute()).begin()
    assert studio.sweep_once() == 0
    studio.clock.advance(WAKE_AFTER)

    assert studio.sweep_once() == 1
    assert studio.called_for() == [task.id]


# Delivered more than once, late, or never ------------------------------------------------------------------------


def test_a_message_that_comes_again_finds_nothing_to_do(studio):
    task = studio.begin(2)

    runs = [studio.job.run(task.id) for _ in range(3)]

    assert runs[1:] == [None, None]
    assert len(studio.model.requests) == 2
    studio.assert_sound(studio.task(task.id), made=2)


def test_a_message_for_a_task_that_is_gone_is_nothing(studio):
    assert studio.job.run("imgtask_000000000000000000000000") is None


def test_while_one_worker_paints_another_leaves_it_alone(studio):
    task = studio.begin()
    others = []

    class Calling(ScriptedImageModel):
        def generate(self, request):
            others.append(studio.job.run(task.id))
            return ScriptedImageModel.generate(self, request)

    studio.instance(model=Calling()).job.run(task.id)

    assert others == [None]
    studio.assert_sound(studio.task(task.id), made=1)


def test_a_task_that_is_worked_on_is_not_swept(studio):
    task = studio.begin()
    swept = []

    class Slow(ScriptedImageModel):
        def generate(self, request):
            studio.clock.advance(150 * SECOND)
            swept.append(studio.sweep_once())
            return ScriptedImageModel.generate(self, request)

    studio.instance(model=Slow()).job.run(task.id)

    assert swept == [0]


def test_a_finished_task_is_not_swept(studio):
    studio.job.run(studio.begin().id)
    studio.clock.advance(TASK_LIFETIME * 2)

    assert studio.sweep_once() == 0


def test_the_sweep_calls_less_and_less_often_for_a_task_that_does_not_move(studio):
    task = studio.begin()
    calls = []
    for minute in range(55):
        before = len(studio.called_for())
        studio.sweep_once()
        if len(studio.called_for()) > before:
            calls.append(minute)
        studio.clock.advance(MINUTE)

    assert [later - earlier for earlier, later in pairwise(calls)] == [1, 2, 4, 8, 16]
    assert studio.task(task.id).wakes == len(calls)


def test_a_task_that_is_not_made_in_its_time_fails_without_a_broker(studio):
    mute = studio.instance(publisher=Mute())
    task = mute.begin(2)
    minutes = 0
    while studio.task(task.id).is_open:
        studio.clock.advance(MINUTE)
        minutes += 1
        mute.sweep_once()

    failed = studio.task(task.id)
    assert 60 <= minutes <= 61

    assert [failure.code for failure in failed.failures] == ["timed_out"] * 2
    assert failed.status == "failed"
    studio.assert_sound(failed, made=0)
    assert studio.model.requests == []
    assert studio.ledger.balance(ANN).available == 10 * PRICE


def test_a_run_that_has_worked_long_enough_calls_for_the_next(studio):
    class Slow(ScriptedImageModel):
        def generate(self, request):
            studio.clock.advance(150 * SECOND)
            return ScriptedImageModel.generate(self, request)

    slow = studio.instance(model=Slow())
    task = slow.begin(4)

    first = slow.job.run(task.id)
    assert (first.status, len(first.images)) == ("running", 2)
    assert SLICE_SECONDS < 2 * 150
    assert studio.called_for() == [task.id] * 2

    studio.assert_sound(slow.job.run(task.id), made=4)


def test_holds_live_as_long_as_the_work_and_note_what_was_used(studio):
    seen: list[tuple[str, bool]] = []

    class Slow(ScriptedImageModel):
        def generate(self, request):
            studio.clock.advance(149 * SECOND)
            hold = studio.ledger.hold(ANN, task.hold)
            seen.append((hold.status, hold.expires_at - studio.clock.now() > 200 * SECOND))
            return ScriptedImageModel.generate(self, request)

    slow = studio.instance(model=Slow())
    task = slow.begin(10)

    while slow.job.run(task.id).is_open:
        pass

    assert seen == [("active", True)] * 10
    studio.assert_sound(studio.task(task.id), made=10)


# It cannot go on -------------------------------------------------------------------------------------------------


def test_a_bucket_that_stays_away_is_a_dead_letter_with_an_alert(studio):
    class Away:
        def __getattr__(self, name):
            return getattr(studio.objects, name)

        def put(self, *_):
            raise StorageUnavailable

    away = studio.instance(objects=Away())
    task = away.begin(2)
    for _ in range(TRIES_MAX):
        with pytest.raises(StorageUnavailable):
            away.job.run(task.id)
        assert studio.task(task.id).is_open

    failed = away.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["given_up"] * 2
    studio.assert_sound(failed, made=0)
    assert [alert.event for alert in studio.alerts.raised] == ["image_task_given_up"]
    assert len(studio.model.requests) == TRIES_MAX


def test_a_fault_of_ours_is_tried_again_and_then_given_up_with_what_was_made(studio):
    class Broken(ScriptedImageModel):
        def generate(self, request):
            if len(self.requests) == 1:
                raise ZeroDivisionError
            return ScriptedImageModel.generate(self, request)

    broken = studio.instance(model=Broken())
    task = broken.begin(3)
    for _ in range(TRIES_MAX + 1):
        with pytest.raises(ZeroDivisionError):
            broken.job.run(task.id)

    done = broken.job.run(task.id)

    assert (done.status, len(done.images)) == ("done", 1)
    assert [failure.code for failure in done.failures] == ["given_up"] * 2
    studio.assert_sound(done, made=1)


def test_a_run_that_failed_lets_the_next_one_in_at_once(studio):
    class Once(ScriptedImageModel):
        def generate(self, request):
            if not self.requests:
                self.requests.append(request)
                raise ZeroDivisionError
            return ScriptedImageModel.generate(self, request)

    once = studio.instance(model=Once())
    task = once.begin()
    with pytest.raises(ZeroDivisionError):
        once.job.run(task.id)

    studio.clock.advance(RETRY_AFTER)
    assert studio.sweep_once() == 1
    studio.assert_sound(once.job.run(task.id), made=1)


def test_a_task_whose_hold_has_ended_paints_nothing_more(studio):
    task = studio.begin(2)
    studio.clock.advance(16 * MINUTE)

    failed = studio.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["hold_resolved"] * 2
    assert studio.model.requests == []
    studio.assert_sound(failed, made=0)


def test_what_was_made_before_a_hold_ended_is_the_users_and_ours_to_bear(studio):
    class Endless(ScriptedImageModel):
        def generate(self, request):
            picture = ScriptedImageModel.generate(self, request)
            studio.clock.advance(16 * MINUTE)
            return picture

    done = studio.instance(model=Endless()).job.run((task := studio.begin()).id)

    assert (done.status, done.cost, len(done.images)) == ("done", 0, 1)
    assert (studio.charges(), studio.ledger.balance(ANN).available) == ([], 10 * PRICE)
    assert studio.task(task.id) == done


def test_a_frozen_account_begins_nothing(studio):
    studio.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))

    with pytest.raises(AccountFrozen):
        studio.begin()


def test_an_account_frozen_meanwhile_pays_for_what_is_made_while_its_hold_lasts(studio):
    task = studio.begin()
    studio.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))

    studio.assert_sound(studio.job.run(task.id), made=1)


def test_an_account_frozen_meanwhile_renews_no_hold(studio):
    task = studio.begin(2)
    studio.ledger.execute(ANN, Freeze(operation=OperationId("op_freeze")))
    studio.clock.advance(10 * MINUTE)

    failed = studio.job.run(task.id)

    assert [failure.code for failure in failed.failures] == ["account_frozen"] * 2
    studio.assert_sound(failed, made=0)


def test_an_account_that_is_closed_meanwhile_ends_its_task(studio):
    task = studio.begin()
    studio.ledger.execute(ANN, Close(operation=OperationId("op_close")))

    done = studio.job.run(task.id)

    assert (done.cost, studio.charges(), done.is_open) == (0, [], False)


# Reading and removing --------------------------------------------------------------------------------------------


def test_others_tasks_and_images_do_not_exist(studio):
    task = studio.job.run(studio.begin().id)

    with pytest.raises(ImageTaskNotFound):
        studio.tasks.get(BOB, task.id)
    with pytest.raises(ImageNotFound):
        studio.images.get(BOB, task.images[0])
    with pytest.raises(ImageNotFound):
        studio.images.delete(BOB, task.images[0])
    for name in ("", "a/b", "..", "__x__"):
        with pytest.raises(ImageTaskNotFound):
            studio.tasks.get(ANN, name)
        with pytest.raises(ImageNotFound):
            studio.images.get(ANN, name)


def test_images_are_listed_newest_first_in_pages(studio):
    made = []
    for _ in range(3):
        made += studio.job.run(studio.begin().id).images
        studio.clock.advance(SECOND)

    first = studio.images.list(ANN, limit=2)
    second = studio.images.list(ANN, limit=2, cursor=first.next_cursor)

    assert [image.id for image in [*first.items, *second.items]] == made[::-1]
    assert second.next_cursor is None


def test_a_deleted_image_is_gone_with_its_bytes(studio):
    task = studio.job.run(studio.begin(2).id)
    first, second = studio.images.of(task.images)

    studio.images.delete(ANN, first.id)

    assert studio.kept() == [f"images/ann/{second.id}"]
    assert studio.images.of(task.images) == [second]
    for gone in (lambda: studio.images.content(first), lambda: studio.images.delete(ANN, first.id)):
        with pytest.raises(ImageNotFound):
            gone()


def test_a_deletion_that_failed_halfway_can_be_asked_for_again(studio):
    task = studio.job.run(studio.begin().id)

    with pytest.raises(Crash):
        Trap(1, "after", crash).set_on(studio).images.delete(ANN, task.images[0])
    studio.images.delete(ANN, task.images[0])

    assert (studio.kept(), studio.images.list(ANN).items) == ([], ())


def test_who_leaves_leaves_no_image_task_or_byte(studio):
    studio.open(3, uid=BOB)
    for uid in (ANN, ANN, BOB):
        studio.job.run(studio.begin(2 if uid == ANN else 1, uid=uid).id)
    studio.objects.put("images/ann/stray", b"x", "image/png")

    studio.tasks.erase(ANN)
    studio.images.erase(ANN)

    assert (studio.kept(), studio.images.list(ANN).items) == ([], ())
    assert len(studio.kept(BOB)) == len(studio.images.list(BOB).items) == 1
