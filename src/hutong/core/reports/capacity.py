"""Supply, and the domestic and green shares of use."""

from collections.abc import Iterable

from hutong.core.capacity.mixes import PPM
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports.report import (
    KG_MG,
    TITLES,
    Column,
    Facts,
    Table,
    decimal,
    hours,
    kwh,
    percent,
    used_by,
)

_GOPS_P = 10**6
DIFFERENCES_SHOWN = 1000


def heads(by: tuple[str, ...]) -> tuple[Column, ...]:
    """Return the columns of what a table is grouped by."""
    return tuple(Column(TITLES[part], number=False) for part in by)


def supply_by(facts: Facts, by: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return card-ms installed and available, by site and accelerator, one of them, or in all."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for (site, accelerator), (installed, available) in facts.supply.items():
        name = {"site": site, "accelerator": accelerator}
        key = tuple(name[part] for part in by)
        before = found.get(key, (0, 0))
        found[key] = (before[0] + installed, before[1] + available)
    return found


def supply(facts: Facts, by: tuple[str, ...] = ()) -> tuple[Table, ...]:  # noqa: ARG001 - it has its own parts
    """Return what was installed and what was available."""
    parts = ("site", "accelerator")
    rows = tuple(
        (*key, hours(installed), hours(available), percent(available, installed))
        for key, (installed, available) in sorted(supply_by(facts, parts).items())
    )
    columns = (
        *heads(parts),
        Column("装机 Installed", "card-hours"),
        Column("可用 Available", "card-hours"),
        Column("可用率 Available share", "%"),
    )
    connected = Table("supply", "供给 Supply", columns, rows, chart=3)
    registered = (_registered(facts),) if facts.registered else ()
    agreed = (_agreed(facts),) if facts.agreed else ()
    return connected, *registered, *agreed


def _registered(facts: Facts) -> Table:
    """Computing power of centres in service, connected or not; unlike kinds are never added."""
    rows = tuple(
        (
            group.key,
            ", ".join(part for part in each.kind if part),
            decimal(each.evidence.likely, _GOPS_P, 3),
            decimal(each.declared.likely, _GOPS_P, 3),
            decimal(100 * each.evidence_ppm, PPM, 2),
        )
        for group in facts.registered
        for each in group.rows
    )
    columns = (
        Column("地区 Region", number=False),
        Column("口径 Precision, sparsity, basis", number=False),
        Column("有证据 With evidence", "P"),
        Column("仅申报 Declared only", "P"),
        Column("有证据占比 Share with evidence", "%"),
    )
    cards = sum(group.cards for group in facts.registered)
    centres = sum(group.centres for group in facts.registered)
    title = f"登记供给 Registered supply ({centres} centres, {cards} cards where said)"
    return Table("supply-registered", title, columns, rows)


def _agreed(facts: Facts) -> Table:
    """Where connected centres and their sites differ: cards by model, computing power by kind."""
    rows: list[tuple[str, ...]] = []
    for centre in facts.agreed:
        for cards in centre.cards:
            if cards.verdict != "agrees":
                counts = (str(each) for each in (cards.in_service, cards.accepted, cards.declared))
                rows.append((centre.centre.id, cards.model, *counts, "", "", "", cards.verdict))
        for power in centre.power:
            if power.verdict != "agrees":
                spans = (power.in_service, power.accepted, power.declared)
                amounts = (decimal(each.likely, _GOPS_P, 3) for each in spans)
                what = ", ".join(power.kind)
                rows.append((centre.centre.id, what, "", "", "", *amounts, power.verdict))
    columns = (
        Column("中心 Centre", number=False),
        Column("型号或口径 Model, or kind of figure", number=False),
        Column("在役卡 In service", "cards"),
        Column("已验收卡 Accepted", "cards"),
        Column("申报卡 Declared", "cards"),
        Column("在役 In service", "P"),
        Column("已验收 Accepted", "P"),
        Column("申报 Declared", "P"),
        Column("结论 Verdict", number=False),
    )
    agree = sum(each.verdict == "agrees" for each in facts.agreed)
    title = f"登记与申报 Registered against declared ({agree} of {len(facts.agreed)} centres agree)"
    shown = tuple(rows[:DIFFERENCES_SHOWN])
    return Table("supply-agreement", title, columns, shown)


def domestic(facts: Facts, by: tuple[str, ...] = ()) -> tuple[Table, ...]:  # noqa: ARG001
    """Return the share of domestic accelerators: of card-hours, and of P-hours of each basis by itself."""
    available = {key[0]: sums[1] for key, sums in supply_by(facts, ("accelerator",)).items()}
    allocated = {key[0]: sums[0] for key, sums in used_by(facts.used, ("accelerator",)).items()}
    models = sorted({*available, *allocated})
    known = [each for each in models if each in facts.chips]
    rows = [
        ("卡时 Card-hours", *_shares(known, facts, allocated, available, [1] * len(known), 3_600_000)),
    ]
    for basis in sorted({facts.chips[each].basis for each in known if facts.chips[each].gops}):
        some = [each for each in known if facts.chips[each].basis == basis and facts.chips[each].gops]
        gops = [facts.chips[each].gops for each in some]
        name = f"P·时 P-hours, FP16 dense, {basis}"
        rows.append((name, *_shares(some, facts, allocated, available, gops, 3_600_000 * _GOPS_P)))
    columns = (
        Column("口径 Counted by", number=False),
        Column("国产已分配 Domestic allocated"),
        Column("已分配 Allocated"),
        Column("占已分配 Share of allocated", "%"),
        Column("国产可用 Domestic available"),
        Column("可用 Available"),
        Column("占可用 Share of available", "%"),
    )
    return (Table("domestic", "国产占比 Domestic share", columns, tuple(rows)),)


def _shares(
    models: list[str],
    facts: Facts,
    allocated: dict[str, int],
    available: dict[str, int],
    weights: list[int],
    whole: int,
) -> Iterable[str]:
    cells: list[str] = []
    for amounts in (allocated, available):
        weighed = [
            (facts.chips[each].domestic, weight * amounts.get(each, 0))
            for each, weight in zip(models, weights, strict=True)
        ]
        ours = sum(amount for is_domestic, amount in weighed if is_domestic)
        every = sum(amount for _, amount in weighed)
        cells += [decimal(ours, whole, 3), decimal(every, whole, 3), percent(ours, every)]
    return cells


def green(facts: Facts, by: tuple[str, ...] = ("site",)) -> tuple[Table, ...]:
    """Return energy, how much of it was green, and its CO2e."""
    used = used_by(facts.used, by)

    def row(key: tuple[str, ...], sums: tuple[int, ...]) -> tuple[str, ...]:
        return (*key, kwh(sums[2]), kwh(sums[3]), percent(sums[3], sums[2]), decimal(sums[4], KG_MG, 3))

    columns = (
        *heads(by),
        Column("电量 Energy", "kWh"),
        Column("绿电 Green", "kWh"),
        Column("绿电占比 Green share", "%"),
        Column("排放 CO2e", "kg"),
    )
    total = row(
        ("合计 Total", *("" for _ in by[1:])), tuple(sum(s[at] for s in used.values()) for at in range(5))
    )
    rows = tuple(row(key, sums) for key, sums in used.items())
    booked = Table("green", "绿电 Green share", columns, rows, total, chart=len(by) + 2)
    return (booked, _metered(facts)) if facts.metered else (booked,)


def _metered(facts: Facts) -> Table:
    """Energy of sites that have meters, with what the figures rest on and how much of the span they cover."""
    sums: dict[str, list[int]] = {}
    bases: dict[str, set[str]] = {}
    for each in facts.metered:
        energies = (each.metered_j, each.green_j, each.grid_green_j)
        amounts = (each.hours, *energies, each.location_mg, each.market_mg)
        before = sums.get(each.site, [0] * len(amounts))
        sums[each.site] = [a + b for a, b in zip(before, amounts, strict=True)]
        bases.setdefault(each.site, set()).update(each.basis.split("; "))
    span_h = (facts.span[1] - facts.span[0]) // HOUR_MS

    def cells(hours_: int, metered: int, matched: int, grid: int, *carbon_mg: int) -> tuple[str, ...]:
        carbon = (decimal(each, KG_MG, 3) for each in carbon_mg)
        share = percent(hours_, span_h)
        return (share, kwh(metered), kwh(matched), percent(matched, metered), kwh(grid), *carbon)

    columns = (
        Column(TITLES["site"], number=False),
        Column("计量时段 Hours metered", "%"),
        Column("计量电量 Metered", "kWh"),
        Column("匹配绿电 Green, matched", "kWh"),
        Column("绿电占比 Green share", "%"),
        Column("电网可再生 Renewable in the grid's mix", "kWh"),
        Column("排放(位置) CO2e by location", "kg"),
        Column("排放(市场) CO2e by market", "kg"),
        Column("依据 Basis", number=False),
    )
    rows = tuple((site, *cells(*sums[site]), ", ".join(sorted(bases[site]))) for site in sorted(sums))
    return Table("green-metered", "计量绿电 Green share by meters", columns, rows, chart=4)
