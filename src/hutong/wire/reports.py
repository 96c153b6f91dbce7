"""Reports, and what is published of them: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Digest, Shape, Time

Kind = Literal["supply", "use", "waits", "served", "domestic", "green", "subsidy", "unmet", "node"]
Part = Literal["site", "accelerator", "kind", "district", "institution", "project", "size"]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-12-01"])]
Number = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{6}$", examples=["2026-000017"])]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ReportColumn(Shape):
    """A column: its title, and the unit of its numbers."""

    title: str
    unit: str = ""
    number: bool = True


class ReportTable(Shape):
    """Rows of texts; numbers are decimal strings, empty where there is none. `chart` is drawn as bars."""

    id: str
    title: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()
    chart: int | None = None


class Report(Shape):
    """A report of days `[start, end)` of the platform's zone: what it says, and what its figures mean.

    `by` is by what it is grouped. `issuer` is the platform's operator. `coverage` says what it is made of.
    """

    form: Literal["hutong.report/1"] = "hutong.report/1"
    kind: Kind
    title: str
    issuer: str
    start: Day
    end: Day
    zone: str
    by: tuple[str, ...]
    made: Time
    tables: tuple[ReportTable, ...]
    definitions: tuple[str, ...]
    sources: tuple[str, ...]
    coverage: tuple[str, ...]


class NewPublication(Shape):
    """A report to be frozen and signed. `replaces` is the number of an edition that this one corrects."""

    start: Day
    end: Day
    by: Annotated[tuple[Part, ...], Field(max_length=2)] = ()
    replaces: Number | None = None
    note: Annotated[str, Field(max_length=500)] = ""


class Edition(Shape):
    """What there is to know of a published report. `digest` is that of its canonical JSON, which is signed

    with Ed25519 by `public_key` (both in hex).
    """

    number: Number
    kind: Kind
    start: Day
    end: Day
    replaces: str = ""
    note: str = ""
    published: Time
    digest: Digest
    public_key: Hex32
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Publication(Shape):
    """A published report. `body` is its canonical JSON, to the byte, with the number and what it corrects."""

    edition: Edition
    body: str


class ReportsKey(Shape):
    """The key that signs reports: Ed25519, 32 bytes in hex."""

    public_key: Hex32


class RolledUp(Shape):
    """Of how many records, transactions and jobs the sums were made anew."""

    records: int
