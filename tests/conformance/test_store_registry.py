"""What every store promises about documents: versions, one lookup value each, pages by id."""

import pytest

from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Refused


def test_a_document_counts_its_writes(store: Store) -> None:
    first = store.put(Record("project", "p1", {"title": "物理", "members": [["ann", "owner"]]}, "uni", "P-1"))
    assert first.version == 1
    assert store.get("project", "p1") == first
    second = store.put(Record("project", "p1", {"title": "x"}, "uni2", "P-2"), expect=1)
    assert (second.version, second.doc) == (2, {"title": "x"})
    assert store.get("project", "p1") == second
    assert store.put(Record("project", "p1", {}, "uni2", "P-2")).version == 3
    assert store.get("project", "p2") is None
    assert store.get("person", "p1") is None


def test_expectations_guard_writes(store: Store) -> None:
    with pytest.raises(Conflict) as gone:
        store.put(Record("a", "1", {}), expect=3)
    assert gone.value.code == "version"
    store.put(Record("a", "1", {"n": 1}), expect=0)
    for expect, code in ((0, "exists"), (2, "version")):
        with pytest.raises(Conflict) as wrong:
            store.put(Record("a", "1", {"n": 2}), expect=expect)
        assert wrong.value.code == code
    found = store.get("a", "1")
    assert found is not None
    assert found.doc == {"n": 1}


def test_a_lookup_value_belongs_to_one_document_of_a_kind(store: Store) -> None:
    store.put(Record("token", "1", {}, lookup="digest"))
    with pytest.raises(Conflict) as taken:
        store.put(Record("token", "2", {}, lookup="digest"))
    assert taken.value.code == "lookup_taken"
    store.put(Record("other", "2", {}, lookup="digest"))
    store.put(Record("token", "1", {"again": True}, lookup="digest"))
    found = store.find("token", "digest")
    assert found is not None
    assert (found.id, found.version) == ("1", 2)
    store.put(Record("token", "1", {}, lookup="new"))
    assert store.find("token", "digest") is None
    store.put(Record("token", "2", {}, lookup="digest"))
    store.put(Record("token", "3", {}))
    store.put(Record("token", "4", {}))
    assert store.find("token", "") is None


def test_documents_are_listed_by_id(store: Store) -> None:
    for name in ("b", "a", "C", "ä", "c"):
        store.put(Record("k", name, {}, "x" if name in {"a", "c"} else "y"))
    store.put(Record("other", "a", {}, "x"))
    assert [each.id for each in store.records("k", "", "", 10)] == ["C", "a", "b", "c", "ä"]
    assert [each.id for each in store.records("k", "", "a", 2)] == ["b", "c"]
    assert [each.id for each in store.records("k", "x", "", 10)] == ["a", "c"]
    assert store.records("k", "z", "", 10) == ()


def test_a_removed_document_is_gone(store: Store) -> None:
    store.put(Record("k", "1", {}, lookup="l"))
    assert store.remove("k", "1")
    assert not store.remove("k", "1")
    assert store.find("k", "l") is None
    assert store.put(Record("k", "1", {}), expect=0).version == 1


def test_nobody_shares_a_document_with_the_store(store: Store) -> None:
    doc: dict[str, object] = {"list": [1]}
    store.put(Record("k", "1", doc))
    doc["list"] = [2]
    found = store.get("k", "1")
    assert found is not None
    assert found.doc == {"list": [1]}


def test_what_cannot_be_kept_is_refused(store: Store) -> None:
    with pytest.raises(Refused):
        store.put(Record("k", "1", {"big": 1 << 70}))
    with pytest.raises(Refused):
        store.put(Record("k", "", {}))
    with pytest.raises(Refused):
        store.put(Record("site", "east", {"id": "east"}))
    assert store.records("k", "", "", 10) == store.records("site", "", "", 10) == ()


def test_documents_that_are_written_together_are_all_written_or_none(store: Store) -> None:
    first, second = store.put_all(
        [(Record("a", "2", {"n": 1}), 0), (Record("a", "1", {"n": 1}, "p", "k"), 0)]
    )
    assert [(each.id, each.version) for each in (first, second)] == [("2", 1), ("1", 1)]
    changed = Record("a", "2", {"n": 2})
    for wrong, code in (
        ((Record("a", "1", {"n": 2}), 7), "version"),
        ((Record("a", "1", {"n": 2}), 0), "exists"),
        ((Record("a", "3", {"n": 2}, "p", "k"), 0), "lookup_taken"),
        ((Record("a", "2", {"n": 3}), 1), "named_twice"),
    ):
        for writes in ([(changed, 1), wrong], [wrong, (changed, 1)]):
            with pytest.raises(Conflict) as conflict:
                store.put_all([(Record("b", "new", {}), None), *writes])
            assert conflict.value.code == code
            assert store.records("a", "", "", 10) == (second, first)
            assert store.get("b", "new") is None
    assert store.put_all([]) == ()
    assert [each.version for each in store.put_all([(changed, 1), (Record("a", "1", {}), 1)])] == [2, 2]
