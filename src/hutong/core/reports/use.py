"""Use of cards, beside what there was of them and how busy they were: four levels, each with its meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hutong.core.capacity.mixes import PPM
from hutong.core.reports.capacity import heads, supply_by
from hutong.core.reports.report import Column, Facts, Table, hours, kwh, percent, used_by, yuan

LEVELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "装机 Installed": (
            "",
            "Capacity: every card of every registered pool, from when the platform first noted it.",
        ),
        "可用 Available": (
            "装机 installed",
            "Installed, less planned maintenance, sites that took no work and cards that are only declared;"
            " faults are not taken off.",
        ),
        "分配 Allocated": (
            "可用 available",
            "Card-hours that jobs had, as the book says, busy or not. A card is what is billed, of whatever"
            " model; card-hours of unlike models are a count, no measure of computing power.",
        ),
        "已采样 Sampled": (
            "分配 allocated",
            "Card-hours in which the agent of the site sampled how busy the allocated cards were. More than"
            " 100 % is what was sampled and is not booked, not yet or not any more.",
        ),
        "忙碌 Busy": (
            "已采样 sampled",
            "Sampled card-hours in which cards worked, by the counters that are named. Empty: no agent"
            " sampled, so it is not known; it is not zero.",
        ),
        "有效 Effective": (
            "忙碌 busy",
            "Busy card-hours times the measured throughput of the card over its nominal one (FP16 dense, the"
            " catalogue). Empty where a card of the group has no measured figure.",
        ),
    }
)
"""Of each level, of which other one its share is, and what it means."""
_NOTHING = (0,) * 5


@dataclass(frozen=True, slots=True)
class Busy:
    """Card-ms that were sampled, busy in them, and effective of these: None where a card has no figure."""

    sampled: int = 0
    busy: int = 0
    effective: int | None = 0
    methods: frozenset[str] = frozenset()

    def and_(self, other: "Busy") -> "Busy":
        """Return both together."""
        known = self.effective is not None and other.effective is not None
        return Busy(
            self.sampled + other.sampled,
            self.busy + other.busy,
            (self.effective or 0) + (other.effective or 0) if known else None,
            self.methods | other.methods,
        )

    def cells(self, allocated: int) -> tuple[str, ...]:
        """Return the sampled share, busy, its share, effective, its share; empty where nobody knows."""
        if not self.sampled:
            return percent(0, allocated), "", "", "", ""
        effective = ("", "") if self.effective is None else _of(self.effective, self.busy)
        return percent(self.sampled, allocated), *_of(self.busy, self.sampled), *effective


def _of(part: int, whole: int) -> tuple[str, str]:
    return hours(part), percent(part, whole)


def busy_by(facts: Facts, by: tuple[str, ...]) -> dict[tuple[str, ...], Busy]:
    """Return what agents sampled, by site and accelerator or one of them."""
    found: dict[tuple[str, ...], Busy] = {}
    for each in facts.seen:
        name = {"site": each.site, "accelerator": each.accelerator}
        key = tuple(name[part] for part in by)
        busy_ms, known = each.busy_card_ms, facts.yields.get(each.accelerator)
        effective = busy_ms * known // PPM if known is not None else None if busy_ms else 0
        one = Busy(each.counted_card_ms, busy_ms, effective, frozenset({each.method} - {""}))
        found[key] = found.get(key, Busy()).and_(one)
    return found


def use(facts: Facts, by: tuple[str, ...] = ("site",)) -> tuple[Table, ...]:
    """Return what was used, beside what there was and how busy it was where groups have that; and levels."""
    beside = set(by) <= {"site", "accelerator"}
    there = supply_by(facts, by) if beside else {}
    seen = busy_by(facts, by) if beside else {}
    used = used_by(facts.used, by)

    def row(
        key: tuple[str, ...], sums: tuple[int, ...], supply: tuple[int, int], busy: Busy
    ) -> tuple[str, ...]:
        cells: tuple[str, ...] = ()
        if beside:
            cells = (percent(sums[0], supply[1]), percent(sums[0], supply[0]), *busy.cells(sums[0]))
        counted = (", ".join(sorted(busy.methods)),) if beside else ()
        return (*key, hours(sums[0]), *cells, kwh(sums[2]), yuan(sums[1]), *counted)

    rows = tuple(
        row(key, used.get(key, _NOTHING), there.get(key, (0, 0)), seen.get(key, Busy()))
        for key in sorted({*used, *there, *seen})
    )
    whole = tuple(sum(sums[at] for sums in used.values()) for at in range(5))
    supply = supply_by(facts, ()).get((), (0, 0))
    busy = busy_by(facts, ()).get((), Busy())
    total = row(("合计 Total", *("" for _ in by[1:])), whole, supply, busy)
    groups = Table("use", "用量 Use", _columns(by, beside=beside), rows, total, chart=len(by))
    return groups, _levels(whole[0], supply if facts.notes else None, busy)


def _columns(by: tuple[str, ...], *, beside: bool) -> tuple[Column, ...]:
    columns = [*heads(by), Column("分配 Allocated", "card-hours")]
    if beside:
        columns += [
            Column("占可用 Of available", "%"),
            Column("占装机 Of installed", "%"),
            Column("已采样 Sampled", "%"),
            Column("忙碌 Busy", "card-hours"),
            Column("占采样 Busy of sampled", "%"),
            Column("有效 Effective", "card-hours"),
            Column("占忙碌 Effective of busy", "%"),
        ]
    columns += [Column("电量 Energy", "kWh"), Column("费用 Charged", "CNY")]
    if beside:
        columns.append(Column("计数器 Counted by", number=False))
    return tuple(columns)


def _levels(allocated: int, supply: tuple[int, int] | None, busy: Busy) -> Table:
    """Return the levels of everything, each with its meaning beside it; no supply: nobody noted it."""
    installed, available = supply or (0, 0)
    sampled, *above = busy.cells(allocated)
    cells = (
        (hours(installed) if supply else "", ""),
        _of(available, installed) if supply else ("", ""),
        _of(allocated, available),
        (hours(busy.sampled), sampled),
        (above[0], above[1]),
        (above[2], above[3]),
    )
    rows = tuple(
        (name, *amount, of, meaning)
        for (name, (of, meaning)), amount in zip(LEVELS.items(), cells, strict=True)
    )
    columns = (
        Column("层级 Level", number=False),
        Column("卡时 Amount", "card-hours"),
        Column("占比 Share", "%"),
        Column("占何 Of", number=False),
        Column("定义 Definition", number=False),
    )
    return Table("use-levels", "四级利用率 Utilisation in four levels", columns, rows)
