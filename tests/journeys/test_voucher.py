"""A start-up redeems a voucher: it runs a real job, claims a share of what that cost, and is paid."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.journeys.test_cli import HELLO, Machine

from hutong.config import now_ms

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    if made.up is not None:
        made.stop(signal.SIGKILL)


def test_a_start_up_redeems_a_voucher(machine: Machine, tmp_path: Path) -> None:
    machine.start()
    machine.run("institution", "create", "rain", "--kind", "startup", "--zh", "雨", "--en", "Rain")
    password = machine.ask("person", "create", "li-na", "-i", "rain", "--name", "李娜")["password"]
    machine.run("project", "create", "clouds", "-i", "rain", "--owner", "li-na")
    machine.run("award", "clouds", "1000")
    sites = sorted(each["id"] for each in machine.ask("sites"))
    today = datetime.fromtimestamp(now_ms() // 1000, UTC)
    contract = tmp_path / "contract.yaml"
    contract.write_text(
        "id: rain-1\nnumber: '17'\nproject: clouds\nprovider: city-computing\n"
        f"sites: [{', '.join(sites)}]\namount: {{amount: '5000'}}\n"
        f"signed: {(today - timedelta(hours=1)).isoformat()}\n"
        f"starts: {(today - timedelta(hours=1)).isoformat()}\n"
        f"ends: {(today + timedelta(days=30)).isoformat()}\n"
    )
    machine.run("vouchers", "contract", str(contract))
    voucher = machine.ask("vouchers", "issue", "langfang-2023", "-p", "clouds", "--contract", "rain-1")
    assert voucher["face"]["amount"] == "2500.000000"
    env = {**machine.env, "HUTONG_CONFIG": str(tmp_path / "li.toml")}
    as_owner = partial(machine.invoke, env=env)
    assert as_owner("login", machine.told["api"], "-u", "li-na", text=password).exit_code == 0
    assert as_owner("run", machine.job_file(HELLO), "--detach").exit_code == 0
    machine.wait(lambda: machine.ask("bill", "last")["final"], "the job ends and is settled", 120)
    cost = machine.ask("bill", "last")["total"]["amount"]
    assert float(cost) > 0
    start, end = (today - timedelta(minutes=30)).isoformat(), (today + timedelta(days=1)).isoformat()
    claiming = ("vouchers", "claim", voucher["id"], "--from", start, "--to", end)
    bare = as_owner(*claiming)
    assert bare.exit_code == 2
    assert "langfang-2023/evidence" in bare.stderr
    made = as_owner(*claiming, "-e", "invoice=0451")
    assert made.exit_code == 0, made.stderr
    twice = as_owner(*claiming, "-e", "invoice=0451")
    assert twice.exit_code == 2
    assert "langfang-2023/no-double-subsidy" in twice.stderr
    claim = machine.ask("vouchers", "show", voucher["id"])["claims"][0]
    before = machine.ask("balance", "-p", "clouds")["available"]["amount"]
    paid = machine.ask("vouchers", "redeem", voucher["id"], claim["id"])
    assert paid["state"] == "redeemed"
    after = machine.ask("balance", "-p", "clouds")["available"]["amount"]
    half = int(cost.replace(".", "")) // 2
    assert int(after.replace(".", "")) - int(before.replace(".", "")) == half
    assert machine.ask("ledger", "check")["ok"] is True
    machine.stop()
