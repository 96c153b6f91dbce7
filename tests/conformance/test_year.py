"""A small made year, to its end, on each database: what `bench.year` measures at a million records."""

import csv
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from bench import year_steps as steps
from bench.city_year import City, fill, make_city

from hutong.adapters.store.open import open_store
from hutong.core.ledger.beancount import account_name
from hutong.server.invoicing import KIND as INVOICE

RECORDS = 2_000
STORES = ("sqlite", "postgres")
pytestmark = pytest.mark.xdist_group("year")


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city of a trace in Lucid's form, invented for this test."""
    chance = random.Random(7)
    lines = ["job_id,user,vc,gpu_num,state,submit_time,duration"]
    for n in range(500):
        cluster, cards = chance.choice(("a1", "a1", "b2", "c3")), chance.choice((1, 1, 2, 8))
        run_s = chance.choice((0, 7, 600, 3601, 90_000))
        lines.append(f"{n},u,{cluster},{cards},COMPLETED,{n * 5000},{run_s}")
    file = tmp_path_factory.mktemp("trace") / "jobs.csv"
    file.write_text("\n".join(lines) + "\n")
    return make_city(file, RECORDS)


@pytest.fixture(scope="session")
def years(
    city: City, tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Mapping[str, steps.Book]:
    """The year on each database, closed, stated, invoiced and exported."""
    books = {}
    for name in STORES:
        folder = tmp_path_factory.mktemp(name)
        url = f"sqlite:///{folder}/year.db" if name == "sqlite" else new_database()
        made = fill(url, city, RECORDS, 1)
        assert made.records == RECORDS
        books[name] = steps.book_of(url, city, folder)
        for work in steps.STEPS.values():
            steps.run(books[name], work)
    return books


@pytest.mark.parametrize("name", STORES)
def test_statements_invoices_and_files_have_the_sums_of_the_ledger(
    years: Mapping[str, steps.Book], name: str
) -> None:
    assert steps.run(years[name], steps.check_sums) > 12


@pytest.mark.parametrize("name", STORES)
def test_beancount_finds_the_balances_of_the_ledger(years: Mapping[str, steps.Book], name: str) -> None:
    loader = pytest.importorskip("beancount.loader")
    found: dict[str, Decimal] = {}
    for path in sorted(years[name].folder.glob("journal-*.beancount")):
        entries, errors, _ = loader.load_string(path.read_text())
        assert not errors
        for posting in (each for entry in entries for each in getattr(entry, "postings", ())):
            found[posting.account] = found.get(posting.account, Decimal(0)) + posting.units.number
    query = "SELECT account, sum(amount_micro) FROM entries e JOIN txns t ON t.id = e.txn"
    inside = ", ".join(f"'{month}'" for month in years[name].months)
    rows = steps.bare(years[name], f"{query} WHERE t.period IN ({inside}) GROUP BY 1")
    assert found == {account_name(str(row[0])): -Decimal(str(row[1])) / 1_000_000 for row in rows}


def test_both_databases_give_the_same_files(years: Mapping[str, steps.Book]) -> None:
    first, second = (years[name].folder for name in STORES)
    names = sorted(path.name for kind in ("focus-*", "journal-*") for path in first.glob(kind))
    assert len(names) == 24
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_year_has_every_kind_of_charge(years: Mapping[str, steps.Book]) -> None:
    kinds = set()
    for path in years["sqlite"].folder.glob("focus-*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            kinds |= {(row["ChargeCategory"], row["x_SourceKind"]) for row in csv.DictReader(file)}
    assert kinds >= {
        ("Usage", "usage"), ("Credit", "award"), ("Credit", "voucher"), ("Credit", "repayment"),
        ("Credit", "waiver"), ("Purchase", "topup"),
    }  # fmt: skip


def test_the_check_finds_a_micro_yuan_and_a_lost_invoice(
    years: Mapping[str, steps.Book], tmp_path: Path
) -> None:
    book = replace(years["sqlite"], folder=tmp_path)
    for path in years["sqlite"].folder.glob("*-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    file = tmp_path / f"focus-{book.months[3]}.csv"
    with file.open(newline="", encoding="utf-8") as read:
        rows = list(csv.reader(read))
    at = rows[0].index("EffectiveCost")
    line = next(row for row in rows if row[rows[0].index("ChargeCategory")] == "Usage")
    line[at] = str(Decimal(line[at]) + Decimal("0.000001"))
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
    with pytest.raises(AssertionError):
        steps.run(book, steps.check_sums)
    store = open_store(book.url)
    try:
        lost = store.records(INVOICE, "", "", 5)[-1]
        store.remove(INVOICE, lost.id)
        with pytest.raises(AssertionError):
            steps.check_sums(years["sqlite"], store)
        store.put(lost, expect=0)
    finally:
        store.close()
    assert steps.run(years["sqlite"], steps.check_sums) > 12


def test_the_same_seed_makes_the_same_year_and_another_another(city: City, tmp_path: Path) -> None:
    dumps = []
    for n, seed in enumerate((1, 1, 2)):
        url = f"sqlite:///{tmp_path}/year-{n}.db"
        fill(url, city, 100, seed)
        book = steps.book_of(url, city, tmp_path)
        dumps.append([tuple(row) for row in steps.bare(book, "SELECT * FROM usage ORDER BY id")])
    assert dumps[0] == dumps[1] != dumps[2]
    assert len(dumps[0]) == 100
