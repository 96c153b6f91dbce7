"""The registry in memory: documents kept as text, so that nobody shares a dictionary with the store."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.adapters.store import rules
from hutong.adapters.store.batches import check_records
from hutong.adapters.store.codec import decode_doc
from hutong.adapters.store.memory.chain import MemoryChain
from hutong.core.book.audit import UNTOLD, Author, told
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict


@dataclass(frozen=True, slots=True)
class Document:
    """A document as kept."""

    parent: str
    lookup: str
    version: int
    text: str


class MemoryRegistry(MemoryChain):
    """The registry's part of the twin."""

    def __init__(self) -> None:
        super().__init__()
        self._documents: dict[tuple[str, str], Document] = {}

    def _record(self, kind: str, id: str) -> Record:
        kept = self._documents[kind, id]
        return Record(kind, id, decode_doc(kept.text), kept.parent, kept.lookup, kept.version)

    def put(self, record: Record, expect: int | None = None, author: Author | None = None) -> Record:
        """Write a document. `expect` 0: must be new; n: must be at version n; None: whatever is there.

        Raises Conflict. Returns it with its new version.
        """
        return self.put_all([(record, expect)], author)[0]

    def put_all(
        self, writes: Sequence[tuple[Record, int | None]], author: Author | None = None
    ) -> tuple[Record, ...]:
        """Write several documents, each guarded as in `put`, all of them or none.

        Raises Conflict, also for a document that is named twice. Returns them in the order given.
        """
        texts = check_records([record for record, _ in writes])
        with self._writing():
            before = {name: self._documents.get(name) for name in ((r.kind, r.id) for r, _ in writes)}
            try:
                written = tuple(
                    self._put(record, text, expect)
                    for (record, expect), text in zip(writes, texts, strict=True)
                )
            except Conflict:
                for name, kept in before.items():
                    if kept is None:
                        self._documents.pop(name, None)
                    else:
                        self._documents[name] = kept
                raise
            for record in written:
                kept = before[record.kind, record.id]
                there = decode_doc(kept.text) if kept else None
                if record.kind in UNTOLD or there == record.doc:
                    continue
                was = told(record.kind, there)
                verb, what = ("create" if was is None else "change"), f"{record.kind}/{record.id}"
                self._tell(author, f"{record.kind}.{verb}", what, was, told(record.kind, record.doc))
            return written

    def _put(self, record: Record, text: str, expect: int | None) -> Record:
        name = (record.kind, record.id)
        before = self._documents.get(name)
        version = rules.check_version(record, before.version if before else None, expect)
        holder = self.find(record.kind, record.lookup)
        if holder is not None and holder.id != record.id:
            raise rules.lookup_taken(record)
        self._documents[name] = Document(record.parent, record.lookup, version, text)
        return self._record(*name)

    def get(self, kind: str, id: str) -> Record | None:
        """Return a document."""
        with self._lock:
            return self._record(kind, id) if (kind, id) in self._documents else None

    def find(self, kind: str, lookup: str) -> Record | None:
        """Return the document of that kind with that lookup value."""
        with self._lock:
            for (its_kind, id_), kept in self._documents.items():
                if its_kind == kind and lookup and kept.lookup == lookup:
                    return self._record(kind, id_)
        return None

    def records(self, kind: str, parent: str, after: str, limit: int) -> tuple[Record, ...]:
        """Return documents by id above `after`; of every parent where `parent` is empty."""
        with self._lock:
            ids = sorted(
                id_
                for (its_kind, id_), kept in self._documents.items()
                if its_kind == kind and id_ > after and parent in {"", kept.parent}
            )
            return tuple(self._record(kind, id_) for id_ in ids[: rules.page(limit)])

    def remove(self, kind: str, id: str, author: Author | None = None) -> bool:
        """Delete a document; False if there was none."""
        with self._writing():
            gone = self._documents.pop((kind, id), None)
            if gone is not None:
                was = told(kind, decode_doc(gone.text))
                self._tell(author, f"{kind}.remove", f"{kind}/{id}", was, None)
            return gone is not None
