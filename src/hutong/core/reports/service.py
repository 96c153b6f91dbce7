"""Who was served, what was subsidised, how long jobs waited, and what was asked for in vain."""

from collections import Counter
from collections.abc import Mapping

from hutong.core.book.waits import DEFERRED, GONE, STARTED, bucket_ends_ms, bucket_of
from hutong.core.kernel.days import day_of, day_text
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports.report import (
    PARTS,
    TITLES,
    UNKNOWN,
    Column,
    Facts,
    Table,
    Tenant,
    decimal,
    hours,
    percent,
    used_by,
    yuan,
)

FIRSTS_SHOWN = 1000
_NOBODY = Tenant("", "", "")
_PERCENTILES = (50, 90, 99)
_SUBSIDIES = ("voucher", "award")


def quantile(
    started: Mapping[int, int], censored: Mapping[int, int], percentile: int
) -> tuple[int | None, int]:
    """Return the wait, in ms, within which so many percent of jobs start, and the longest wait that was seen.

    Kaplan-Meier over buckets: who still waits, or left the queue, counts as waiting until then, and not as
    never starting. None where so few have started that nobody can know. Exact: in integers.
    """
    buckets = sorted({*started, *censored})
    at_risk = sum(started.values()) + sum(censored.values())
    left, whole = 1, 1  # the share that still waits, as a fraction
    for bucket in buckets:
        begun = started.get(bucket, 0)
        if begun:
            left, whole = left * (at_risk - begun), whole * at_risk
            if 100 * left <= (100 - percentile) * whole:
                return bucket_ends_ms(bucket), bucket_ends_ms(buckets[-1])
        at_risk -= begun + censored.get(bucket, 0)
    return None, bucket_ends_ms(buckets[-1]) if buckets else 0


def waits(facts: Facts, by: tuple[str, ...] = ("accelerator",)) -> tuple[Table, ...]:
    """Return how long jobs that were submitted in the span waited for their first start."""
    started: dict[tuple[str, ...], Counter[int]] = {}
    censored: dict[tuple[str, ...], Counter[int]] = {}
    gone: Counter[tuple[str, ...]] = Counter()
    still: Counter[tuple[str, ...]] = Counter()
    for each in facts.told:
        key = _wait_key(by, each.kind, each.asked, each.size)
        if each.what == STARTED:
            started.setdefault(key, Counter())[each.bucket] += each.jobs
        elif each.what == GONE:
            gone[key] += each.jobs
            censored.setdefault(key, Counter())[each.bucket] += each.jobs
    for group in facts.waiting:
        tenant = facts.tenants.get(group.project, _NOBODY)
        key = _wait_key(by, tenant.kind, group.asked, group.size)
        waited_ms = max(0, facts.cut_ms - group.hour * HOUR_MS - HOUR_MS // 2)
        still[key] += group.jobs
        censored.setdefault(key, Counter())[bucket_of(waited_ms)] += group.jobs
    rows = []
    for key in sorted({*started, *censored}):
        begun, others = started.get(key, Counter()), censored.get(key, Counter())
        cells = []
        for percentile in _PERCENTILES:
            within_ms, longest_ms = quantile(begun, others, percentile)
            cells.append(decimal(within_ms, 60_000, 1) if within_ms is not None else "")
            cells.append("" if within_ms is not None else decimal(longest_ms, 60_000, 1))
        rows.append((*key, str(begun.total()), str(still[key]), str(gone[key]), *cells))
    columns = (
        *(Column({**TITLES, "size": "卡数 Cards from"}[part], number=False) for part in by),
        Column("已启动 Started", "jobs"),
        Column("仍等待 Still waiting", "jobs"),
        Column("未启动即离开 Left unstarted", "jobs"),
        *(
            column
            for each in _PERCENTILES
            for column in (
                Column(f"P{each} 等待 Wait", "min"),
                Column(f"P{each} 超过 More than", "min"),
            )
        ),
    )
    deferred = sum(each.jobs for each in facts.told if each.what == DEFERRED)
    title = f"等待 Waits (推迟不计 deferred, not counted: {deferred})"
    return (Table("waits", title, columns, tuple(rows), chart=len(by) + 3),)


def _wait_key(by: tuple[str, ...], kind: str, asked: str, size: int) -> tuple[str, ...]:
    names = {"kind": kind or UNKNOWN, "accelerator": asked or "CPU", "size": str(size)}
    return tuple(names[part] for part in by)


def served(facts: Facts, by: tuple[str, ...] = ()) -> tuple[Table, ...]:  # noqa: ARG001
    """Return who used cards: by kind, by district, and who did so for the first time."""
    return (_served_by(facts, "kind"), _served_by(facts, "district"), _firsts(facts))


def _served_by(facts: Facts, part: str) -> Table:
    amounts = used_by(facts.served, (part,))
    new = {each.name for each in facts.firsts if each.scope == "project"}
    new_people = {each.name for each in facts.firsts if each.scope == "person"}
    whole = sum(sums[0] for sums in amounts.values())
    rows = []
    for (name,), sums in amounts.items():
        some = [each for each in facts.served if PARTS[part](each) == name and each.card_ms > 0]
        projects = {each.project for each in some}
        people: set[str] = set().union(*(facts.people.get(each, frozenset()) for each in projects))
        row = (
            name,
            str(len({each.tenant.institution for each in some} - {""})),
            str(len(projects)),
            str(len(people)),
            str(len(projects & new)),
            str(len(people & new_people)),
            hours(sums[0]),
            percent(sums[0], whole),
        )
        rows.append(row)
    columns = (
        Column(TITLES[part], number=False),
        Column("机构 Institutions"),
        Column("项目 Projects"),
        Column("人 People"),
        Column("首次项目 First-time projects"),
        Column("首次用户 First-time people"),
        Column("卡时 Allocated", "card-hours"),
        Column("占比 Share", "%"),
    )
    return Table(f"served-{part}", f"服务对象 Served, {TITLES[part]}", columns, tuple(rows), chart=7)


def _firsts(facts: Facts) -> Table:
    """Projects by name; people are counted and never named."""
    some = [each for each in facts.firsts if each.scope == "project"]
    rows = tuple(
        (each.name, facts.tenants.get(each.name, _NOBODY).institution, day_text(day_of(each.at_ms)))
        for each in sorted(some, key=lambda each: (each.at_ms, each.name))[:FIRSTS_SHOWN]
    )
    columns = tuple(
        Column(title, number=False)
        for title in ("项目 Project", "机构 Institution", "首次使用 First use (UTC day)")
    )
    return Table("first-time", f"首次使用 First-time projects ({len(some)})", columns, rows)


def subsidy(facts: Facts, by: tuple[str, ...] = ()) -> tuple[Table, ...]:  # noqa: ARG001
    """Return what was granted as vouchers and awards, what of such was redeemed, and what went back."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in facts.moved:
        if each.lot not in _SUBSIDIES:
            continue
        sums = found.setdefault((each.lot, each.tenant.kind or UNKNOWN), [0, 0, 0])
        if each.txn == each.lot:
            sums[0] += each.amount_micro
        elif each.txn in {"expiry", "clawback", "claw_back", "reclaim"}:
            sums[2] -= each.amount_micro
        else:  # use, tokens, debts paid; refunds and waivers bring it back
            sums[1] -= each.amount_micro
    rows = tuple((*key, *(yuan(each) for each in found[key])) for key in sorted(found))
    total = ("合计 Total", "", *(yuan(sum(sums[at] for sums in found.values())) for at in range(3)))
    columns = (
        Column("种类 Kind of lot", number=False),
        Column(TITLES["kind"], number=False),
        Column("发放 Granted", "CNY"),
        Column("核销 Redeemed", "CNY"),
        Column("过期或收回 Expired or taken back", "CNY"),
    )
    return (Table("subsidy", "补贴 Subsidy", columns, rows, total, chart=3),)


def unmet(facts: Facts, by: tuple[str, ...] = ()) -> tuple[Table, ...]:  # noqa: ARG001
    """Return what was asked for and not served: of jobs that left unstarted, and that wait at the cut."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in facts.told:
        if each.what == GONE:
            state, _, code = each.why.partition(":")
            _count(found, (state, code or "none told"), each.jobs, each.card_ms)
    for group in facts.waiting:
        _count(found, ("waiting", group.code or "none told"), group.jobs, group.card_ms)
    whole = sum(sums[1] for sums in found.values())
    rows = tuple(
        (*key, str(jobs), hours(card_ms), percent(card_ms, whole))
        for key, (jobs, card_ms) in sorted(found.items())
    )
    columns = (
        Column("状态 What became of it", number=False),
        Column("原因 Reason", number=False),
        Column("作业 Jobs"),
        Column("申请卡时 Asked for", "card-hours"),
        Column("占比 Share", "%"),
    )
    return (Table("unmet", "未满足需求 Unmet demand", columns, rows, chart=3),)


def _count(found: dict[tuple[str, str], list[int]], key: tuple[str, str], *more: int) -> None:
    sums = found.setdefault(key, [0] * len(more))
    for at, each in enumerate(more):
        sums[at] += each
