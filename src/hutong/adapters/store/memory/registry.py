"""The registry in memory: documents kept as text, so that nobody shares a dictionary with the store."""

from dataclasses import dataclass

from hutong.adapters.store import rules
from hutong.adapters.store.codec import decode_doc
from hutong.adapters.store.memory.chain import MemoryChain
from hutong.core.book.audit import Author, told
from hutong.core.book.store import Record


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
        text = rules.check_record(record)
        with self._writing():
            before = self._documents.get((record.kind, record.id))
            version = rules.check_version(record, before.version if before else None, expect)
            holder = self.find(record.kind, record.lookup)
            if holder is not None and holder.id != record.id:
                raise rules.lookup_taken(record)
            name = (record.kind, record.id)
            self._documents[name] = Document(record.parent, record.lookup, version, text)
            after = self._record(*name)
            was = told(record.kind, decode_doc(before.text) if before else None)
            verb = "change" if before else "create"
            self._tell(author, f"{record.kind}.{verb}", "/".join(name), was, told(record.kind, after.doc))
            return after

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
