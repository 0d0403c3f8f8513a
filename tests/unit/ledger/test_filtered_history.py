"""Pages of a history that is filtered by object or API key: whole, in order, and as cheap as any other page."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from random import Random

import orjson
import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.documents import Create, Patch, Put
from shared.kernel.ids import operation_id
from shared.ledger.about import REF_TYPES, AboutTags, about
from shared.ledger.account_documents import state_path
from shared.ledger.account_seals import AccountSeals
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.entry_index import INDEX_FIELDS, first_indexed, index_fields, index_mark
from shared.ledger.heads import Head
from shared.ledger.history import EntryFilter, EntryHistory
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore, entry_path
from shared.ledger.views import EntryView
from tests.support import books
from tests.support.books import NOW
from tests.support.indexes import IndexCheckedDocuments
from tests.support.ledgers import KEYS, UID, World, charge, grant
from tests.unit.ledger.test_history import ACCOUNT_DOCUMENTS, CHECKS, Counting, data_of

READS_MAX = 22
OTHER_KINDS = frozenset({"hold", "extension", "release", "status"})
OBJECTS = tuple((kind, f"{kind}_{number}") for kind in ("call", "agent_task", "message") for number in range(2))
KEY_IDS = ("key_a", "key_b")
ABOUT = ((None, "kTrue"), ("often1", None), ("agent_task:rare", "kFalse"), ("none", "kTrue"), ("rare", "k"))
"""Objects and API keys of the filters of a long history: most entries, some, one, none."""
FILTERS = 8
"""Filters of a journal, drawn from all."""


def as_of_an_earlier_release(world: World, seqs: Sequence[int]) -> None:
    """Store these entries without index fields, and the account with a nonce as an earlier release writes it."""
    for seq in seqs:
        data = data_of(world.documents, entry_path(UID, seq))
        kept = {name: value for name, value in data.items() if name not in INDEX_FIELDS}
        world.documents.commit([Put(entry_path(UID, seq), kept)])
    sealed = data_of(world.documents, state_path(UID))
    seals = AccountSeals(KEYS, "demo-test")
    number = sealed["version"]
    assert isinstance(number, int)
    again = seals.data(seals.account(UID, sealed), number, f"nonce of {number}")
    world.documents.commit([Patch(state_path(UID), again)])


def some_tags(random: Random) -> AboutTags:
    kind, name = random.choice(OBJECTS)
    ref = random.choice([None, (kind, name)])
    return about("openai", ref=ref, principal=random.choice(["user:ada", *(f"key:{key}" for key in KEY_IDS)]))  # type: ignore[arg-type]


def act(world: World, random: Random, numbers: "count[int]") -> None:
    """Add some entries: charges, holds that stay open or end, and entries whose purpose only the hold tells."""
    name, ledger = f"n{next(numbers)}", world.ledger
    tags = random.choice([(), some_tags(random)])
    if random.randint(0, 2):
        ledger.execute(UID, replace(charge(name, 1), about=tags))
        return
    principal = random.choice(["user:ada", "key:key_a"])
    is_reservation = bool(random.randint(0, 1))
    ledger.execute(UID, books.hold(name, 4, principal=principal, about=tags, is_reservation=is_reservation))
    if random.randint(0, 1):
        ledger.execute(UID, books.capture(name, 2))


def filters() -> list[EntryFilter]:
    refs = [None, *(f"{kind}:{name}" for kind, name in OBJECTS[:3]), "call_1", "agent_task:call_1", "n3", "none"]
    kinds = (POSTED_KINDS, OTHER_KINDS, frozenset({"charge"}), POSTED_KINDS | OTHER_KINDS)
    return [EntryFilter(kinds=each, ref=ref, key=key) for each in kinds for ref in refs for key in (None, *KEY_IDS)]


def seqs_of(ledger: Ledger, wanted: EntryFilter, limit: int = 7, between=lambda: None) -> list[int]:
    """Return the numbers on all pages. `between` runs after each page."""
    before, found = None, list[int]()
    while True:
        page = ledger.history(UID, before=before, limit=limit, wanted=wanted)
        found += [entry.seq for entry in page.items]
        if page.before is None:
            return found
        assert before is None or page.before < before, "each page moves on"
        before = page.before
        between()


def whole(ledger: Ledger) -> list[EntryView]:
    every = EntryFilter(kinds=POSTED_KINDS | OTHER_KINDS)
    return list(ledger.history(UID, before=None, limit=1_000, wanted=every).items)


@pytest.mark.parametrize("seed", range(2))
def test_filtered_pages_equal_the_filtered_journal(seed):
    """Some entries are of an earlier release, also between newer ones. More entries come between the pages."""
    random, numbers = Random(seed), count()
    world = World(documents=IndexCheckedDocuments(Counting()))  # type: ignore[arg-type]
    world.ledger.execute(UID, grant("g", 10_000))
    for part in range(3):
        first = world.ledger.balance(UID).seq
        for _ in range(15):
            act(world, random, numbers)
        if part < 2:
            last = world.ledger.balance(UID).seq
            as_of_an_earlier_release(world, random.sample(range(first + 1, last + 1), (last - first) // 2))
    for wanted in random.sample(filters(), FILTERS):
        expected = [each.seq for each in whole(world.ledger) if each.kind in wanted.kinds and wanted.has(each)]

        assert seqs_of(world.ledger, wanted, between=lambda: act(world, random, numbers)) == expected, wanted

    assert world.ledger.verify(UID) == []


def test_ids_with_the_same_mark_are_told_apart():
    seen: dict[bytes, str] = {}
    one, other = next(
        (seen[mark], name)
        for name in (f"ans_{number}" for number in count())
        if (mark := index_mark(name)) in seen or seen.update({mark: name})
    )
    ledger = World().ledger
    ledger.execute(UID, grant("g", 100))
    for number, name in enumerate([one, other, one]):
        ledger.execute(UID, replace(charge(f"c{number}", 1), about=about("openai", ref=("call", name))))

    assert seqs_of(ledger, EntryFilter(ref=one), limit=1) == [4, 2]
    assert seqs_of(ledger, EntryFilter(ref=f"call:{other}"), limit=1) == [3]


@pytest.mark.parametrize("ref_type", REF_TYPES)
def test_an_entry_stores_marks_of_object_and_key(ref_type):
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    told = about("openai", ref=(ref_type, "id}{"), model='m"}', principal="key:k1")
    world.ledger.execute(UID, replace(charge("c", 1), about=told))

    data = data_of(world.documents, entry_path(UID, 2))

    assert {name: data[name] for name in INDEX_FIELDS} == {"ref": index_mark("id}{"), "key": index_mark("k1")}
    assert INDEX_FIELDS.isdisjoint(data_of(world.documents, entry_path(UID, 1)))


@pytest.mark.parametrize(("field", "wanted"), [("ref", EntryFilter(ref="b")), ("key", EntryFilter(key="b"))])
def test_a_page_shows_no_entry_whose_index_field_lies(field, wanted):
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    for name in ("a", "b"):
        told = about("openai", ref=("call", name), principal=f"key:{name}")
        world.ledger.execute(UID, replace(charge(name, 1), about=told))
    world.documents.commit([Patch(entry_path(UID, 2), {field: index_mark("b")})])

    assert seqs_of(world.ledger, wanted) == [3]
    assert {(finding.seq, finding.rule) for finding in world.ledger.verify(UID)} == {(2, "format")}


def test_the_next_commit_tells_the_first_indexed_entry():
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    assert first_indexed(data_of(world.documents, state_path(UID))["nonce"]) == 1
    world.ledger.execute(UID, charge("c1", 1))
    as_of_an_earlier_release(world, [1, 2])
    assert first_indexed(data_of(world.documents, state_path(UID))["nonce"]) is None

    ledger = world.ledger
    ledger.execute(UID, charge("c2", 1))
    ledger.execute(UID, charge("c3", 1))

    assert first_indexed(data_of(world.documents, state_path(UID))["nonce"]) == 3


@pytest.mark.parametrize("nonce", [None, 7, "", "ab", "ab~", "ab~x", "ab~-1", "ab~²", "ab~" + "9" * 40])
def test_a_nonce_without_a_number_tells_no_entry(nonce):
    assert first_indexed(nonce) is None


def long_history(
    documents: Counting, size: int, *, is_old: bool, spread: Callable[[int], int] = MINUTE.__mul__
) -> Head:
    """Store `size` entries, every fifth a hold. One of the middle has an object of its own, the others share two."""
    world = World(documents=documents)
    world.ledger.execute(UID, grant("g", 1_000))
    told = about("openai", ref=("call", "ans"), principal="key:k")
    world.ledger.execute(UID, replace(charge("c", 1), about=told))
    head = AccountStore(documents, KEYS, "demo-test").read(UID).head
    data = data_of(documents, entry_path(UID, 2))
    body = orjson.loads(str(data["body"]))

    def entry(seq: int) -> Create:
        name = "rare" if seq == size // 2 else f"often{seq % 2}"
        told = dict(about("openai", ref=("agent_task", name), principal=f"key:k{seq % 3 == 0}"))
        at = NOW + spread(seq)
        text = orjson.dumps({**body, "about": told, "seq": seq, "op": f"o{seq}", "at": at}, option=orjson.OPT_SORT_KEYS)
        fields = {} if is_old else index_fields(text.decode())
        kind = "hold" if seq % 5 == 0 else "charge"
        return Create(
            entry_path(UID, seq), {"kind": kind, "body": text.decode(), "signature": data["signature"], **fields}
        )

    for first in range(3, size + 1, 2_000):
        documents.commit([entry(seq) for seq in range(first, min(first + 2_000, size + 1))])
    account = replace(head.account, seq=size, at=NOW + spread(size))
    return replace(head, account=account, first_indexed=None if is_old else 1)


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("size", [100, 10_000])
def test_a_filtered_page_reads_few_documents(size, is_old):
    documents = Counting()
    head = long_history(documents, size, is_old=is_old)
    history = EntryHistory(AccountStore(documents, KEYS, "demo-test"), CHECKS)
    middle = NOW + size // 2 * MINUTE
    kinds = (POSTED_KINDS, OTHER_KINDS, frozenset({"hold"}), frozenset({"refund"}))
    times = ((None, None, None), (None, None, size // 2), (middle, None, None), (None, middle, None))
    for ref, key in ABOUT:
        for kind in kinds:
            for since, until, before in times:
                wanted = EntryFilter(kinds=kind, ref=ref, key=key, since=since, until=until)
                documents.read = 0
                page = history.page(head, wanted, before=before, limit=20)

                assert documents.read + len(ACCOUNT_DOCUMENTS) <= READS_MAX, (wanted, before)
                assert all(wanted.has(each) for each in page.items)
                assert is_old or until is not None or len(page.items) == 20 or page.before is None


def test_a_rare_entry_of_many_is_on_the_first_page():
    documents = Counting()
    head = long_history(documents, 10_000, is_old=False)
    history = EntryHistory(AccountStore(documents, KEYS, "demo-test"), CHECKS)
    documents.read = 0

    page = history.page(head, EntryFilter(kinds=OTHER_KINDS, ref="agent_task:rare"), before=None, limit=20)

    assert ([each.seq for each in page.items], page.before, documents.read) == ([5_000], None, 1)


def test_a_page_of_notes_and_old_holds_reads_few_documents():
    documents = Counting()
    world = World(documents=documents)
    world.ledger.execute(UID, grant("g", 10_000))
    for number in range(15):
        world.ledger.execute(UID, replace(books.adjust(number + 1), operation=operation_id("adjust", str(number))))
    for number in range(15):
        world.ledger.execute(UID, books.hold(f"h{number}", 4, principal="key:key_a"))
        world.ledger.execute(UID, books.capture(f"h{number}", 2))
    ledger, expected = world.ledger, [each.seq for each in whole(world.ledger)]
    notes = {each.seq: each.note for each in whole(ledger)}
    before, found = None, list[EntryView]()
    while before is None or before > 1:
        documents.read = 0
        page = ledger.history(UID, before=before, limit=20, kinds=POSTED_KINDS | OTHER_KINDS)
        assert documents.read <= READS_MAX
        found += page.items
        if page.before is None:
            break
        before = page.before

    assert [each.seq for each in found] == expected
    assert {each.seq: each.note for each in found} == notes
    assert sum(each.note is not None for each in found) == 15


@pytest.mark.parametrize("until", [3, 161, 5_001, 7_201, 9_998, 9_999])
def test_a_search_by_uneven_times_reads_few_documents(until):
    """The times double again and again, so that no guess by time is near."""
    documents = Counting()
    head = long_history(documents, 10_000, is_old=False, spread=lambda seq: 2 ** min(seq // 160, 45) + seq)
    at = NOW + 2 ** min(until // 160, 45) + until
    documents.read = 0

    history, wanted = EntryHistory(AccountStore(documents, KEYS, "demo-test"), CHECKS), EntryFilter(until=at)
    page = history.page(head, wanted, before=None, limit=20)

    assert documents.read + len(ACCOUNT_DOCUMENTS) <= READS_MAX
    if not page.items:
        page = history.page(head, wanted, before=page.before, limit=20)
    assert [each.seq for each in page.items][:1] == [until]
