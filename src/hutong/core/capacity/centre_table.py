"""Many centres from one table in CSV: a verdict for each row, and the centres that the good ones make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from hutong.core.capacity.centre_rows import COLUMNS, NEEDED, Bad, CentreRow, FaultOf, Remark, id_of, read_row
from hutong.core.capacity.centres import PHASES_MAX, Capacity, CardLine, Centre, Change, Phase, Plan
from hutong.core.capacity.csv_rows import read_sheet
from hutong.core.capacity.duplicates import Known
from hutong.core.kernel.errors import Problem, Refused

_SHARED = ("name_zh", "name_en", "region", "owner", "operator", "contract", "place")
_OF_PHASE = ("state", "on", "due", "figure", "evidence")


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """What becomes of a row: `taken`, `flagged` (with gaps), or `refused`; and why."""

    line: int
    outcome: str
    centre: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Drafts:
    """The centres of a table whose rows are all good, and a verdict for each row, in their order.

    `file` is the digest of the table.
    """

    file: str
    centres: tuple[Centre, ...]
    verdicts: tuple[RowVerdict, ...]

    @property
    def refused(self) -> int:
        """How many rows were refused."""
        return sum(each.outcome == "refused" for each in self.verdicts)


def read_centres(
    text: str, today: str, signed: tuple[int, str], fault_of: FaultOf, source: str = ""
) -> Drafts:
    """Return the centres of a CSV; `signed` is when and by whom they are entered.

    A centre of which one row is refused is left out whole. Raises Refused where the file cannot be read.
    """
    sheet = read_sheet(text, NEEDED)
    if strange := [name for name in sheet.columns if name not in COLUMNS]:
        problem = Problem("/csv", f"no column {strange[0]!r} is known", ", ".join(COLUMNS))
        raise Refused("bad_table", problem.message, (problem,))
    rows: dict[str, list[CentreRow]] = {}
    verdicts: dict[int, RowVerdict] = {}
    for line, cells in sheet.rows:
        try:
            row, gaps = read_row(line, cells, today, source, fault_of)
            _agree(rows.get(row.id, ()), row)
        except Bad as bad:
            verdicts[line] = RowVerdict(line, "refused", id_of(cells), (bad.remark,))
            continue
        rows.setdefault(row.id, []).append(row)
        verdicts[line] = RowVerdict(line, "flagged" if gaps else "taken", row.id, gaps)
    file = sha256(text.encode()).hexdigest()
    spoilt = {each.centre for each in verdicts.values() if each.outcome == "refused"}
    for line, verdict in verdicts.items():
        if verdict.outcome != "refused" and verdict.centre in spoilt:
            remark = Remark(
                "error", "beside_refused", "", "another row of this centre is refused", "mend that"
            )
            verdicts[line] = replace(verdict, outcome="refused", remarks=(*verdict.remarks, remark))
    centres = (_centre(found, signed, file) for id, found in rows.items() if id not in spoilt)
    return Drafts(file, tuple(centres), tuple(verdicts.values()))


def hold_duplicates(drafts: Drafts, known: Known, *, keep: bool) -> Drafts:
    """Return drafts without those that may be centres that are there, or earlier ones of the table.

    With `keep` they are only flagged.
    """
    found: dict[str, Remark] = {}
    for centre in drafts.centres:
        like = known.like(centre)
        known.add(centre)
        if like:
            told = "; ".join(f"{each.id} ({each.reason})" for each in like)
            hint = "leave it out, or say that duplicates are kept"
            found[centre.id] = Remark("gap" if keep else "error", "duplicate", "name", f"may be {told}", hint)
    verdicts = tuple(
        replace(
            each,
            outcome="refused" if each.outcome == "refused" or not keep else "flagged",
            remarks=(*each.remarks, found[each.centre]),
        )
        if each.centre in found
        else each
        for each in drafts.verdicts
    )
    return Drafts(
        drafts.file, tuple(each for each in drafts.centres if keep or each.id not in found), verdicts
    )


def refuse(drafts: Drafts, why: Mapping[str, Remark]) -> Drafts:
    """Return drafts without some centres, and each row of those with the reason."""
    verdicts = tuple(
        replace(each, outcome="refused", remarks=(*each.remarks, why[each.centre]))
        if each.centre in why
        else each
        for each in drafts.verdicts
    )
    return Drafts(drafts.file, tuple(each for each in drafts.centres if each.id not in why), verdicts)


def _agree(before: Iterable[CentreRow], row: CentreRow) -> None:
    """Raise Bad where a row contradicts an earlier one of its centre or phase, or repeats it."""
    phases = {row.phase}
    for other in before:
        phases.add(other.phase)
        for name in _SHARED:
            mine, its = getattr(row, name), getattr(other, name)
            if name not in ("owner", "operator") and mine and its and mine != its:
                raise _contradicts(name, other.line, f"{its!s:.60}")
            if name in ("owner", "operator") and mine.name and its.name and mine != its:
                raise _contradicts(name, other.line, its.name)
        if other.phase != row.phase:
            continue
        for name in _OF_PHASE:
            mine, its = getattr(row, name), getattr(other, name)
            if mine and its and mine != its:
                raise _contradicts("p" if name == "figure" else name, other.line, "something else")
        if other.model == row.model:
            text = f"line {other.line} has the same phase and card already"
            raise Bad(Remark("error", "repeated", "card", text, "leave it out, or name another phase"))
    if len(phases) > PHASES_MAX:
        raise Bad(Remark("error", "too_many", "phase", f"over {PHASES_MAX} phases", "fewer"))


def _contradicts(column: str, line: int, said: str) -> Bad:
    return Bad(Remark("error", "contradiction", column, f"line {line} says {said}", "the same in both"))


def _centre(rows: list[CentreRow], signed: tuple[int, str], file: str) -> Centre:
    def said(name: str) -> object:
        return next((value for row in rows if (value := getattr(row, name))), getattr(rows[0], name))

    phases = dict.fromkeys(row.phase for row in rows)
    told = [replace(row, line=0) for row in rows]
    first = rows[0]
    return Centre(
        first.id, str(said("name_zh")), str(said("name_en")), first.region,
        owner=next((row.owner for row in rows if row.owner.name), first.owner),
        operator=next((row.operator for row in rows if row.operator.name), first.operator),
        contract=str(said("contract")),
        place=next((row.place for row in rows if row.place), None),
        phases=tuple(_phase([row for row in rows if row.phase == phase], signed) for phase in phases),
        origin=sha256(repr(told).encode()).hexdigest(), file=file,
    )  # fmt: skip


def _phase(rows: list[CentreRow], signed: tuple[int, str]) -> Phase:
    first = rows[0]
    lines = tuple(CardLine(row.model, row.cards) for row in rows if row.model)
    figure = next((row.figure for row in rows if row.figure), None)
    due = next((row.due for row in rows if row.due), "")
    plans = (Plan(due, first.dated or first.on, first.evidence.source, *signed),) if due else ()
    change = Change(first.state, first.on, first.evidence, *signed)
    return Phase(first.phase, "", Capacity(lines, figure), (change,), plans, note=first.note)
