"""The eight steps of the demonstration. Each claim is checked on data before it is shown."""

import json
import os
import secrets
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from examples.demo import processes
from examples.demo.stage import Stage, expect
from openai import AuthenticationError, OpenAI
from rich.table import Table

from hutong import Client
from hutong.clients.cli.bills import show_bill
from hutong.clients.cli.model_commands import wait_ready
from hutong.clients.cli.progress import View
from hutong.clients.cli.receipts import show_receipt, show_replay
from hutong.clients.cli.watch import watch
from hutong.clients.sdk.jobfile import load_job, override
from hutong.config import data_folder, now_ms
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.accounts import Institution, NewPerson, NewProject, NewToken
from hutong.wire.base import Money, parse_rfc3339, rfc3339
from hutong.wire.jobs import Job
from hutong.wire.models import Deployment, Model, NewDeployment, NewModel
from hutong.wire.money import NewAward, NewVoucherLot

KILL_AFTER_STEP = 25
ASKED = {"stdlib": "def read(self, size):", "zh": "床前明月光，"}
TOKENS_WANTED = 80


@dataclass(slots=True)
class Story:
    """What the steps hand on to one another."""

    stage: Stage
    platform: processes.Platform
    corpus: str
    operator: Client = field(init=False)
    user: Client = field(init=False)
    project: str = ""
    job: str = ""
    seen: Any = None
    model: Model | None = None
    deployment: Deployment | None = None


def show_sites(story: Story) -> None:
    """Step 1: three sites, each with its own agent, that differ in what placement looks at."""
    processes.await_up(story.platform)
    admin = json.loads((story.platform.data / "keys" / "admin.json").read_text(encoding="utf-8"))
    story.operator = Client(story.platform.api, admin["token"])
    sites = list(story.operator.sites.list())
    expect(len(sites) == 3 and all(site.reachable for site in sites), "three sites were to call in")
    expect(
        all(site.declared_only and site.supply_synthetic for site in sites),
        "demo sites must say what they are",
    )
    agents = {story.platform.agent_pid(site.id) for site in sites}
    expect(len(agents - {None}) == 3, "each site was to have an agent process of its own")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("site", "pool", "cards", "¥/card·h", "km", "PUE", "green now", "agent", "isolation"):
        table.add_column(name, justify="left" if name in {"site", "pool", "isolation"} else "right")
    for site in sites:
        for index, pool in enumerate(site.pools):
            whose = (str(story.platform.agent_pid(site.id)), site.isolation) if not index else ("", "")
            table.add_row(
                site.name_zh.removesuffix("（演示）") if not index else "", pool.accelerator, str(pool.cards),
                pool.price_per_card_hour.amount[:-4], str(site.distance_km), pool.pue,
                f"{site.green_percent_now} %", *whose,
            )  # fmt: skip
    story.stage.screen.print(table)
    story.stage.say(f"API and portal {story.platform.api}, gateway {story.platform.gateway}/v1")
    story.stage.say(
        "The cards are DECLARED and the sites invented: all work runs on CPU processes of this machine, "
        "and no speed below is that of a card.",
        "bold yellow",
    )


def open_accounts(story: Story) -> None:
    """Step 2: institution, person, project, award and voucher through the API; sign in as the user."""
    told = yaml.safe_load((data_folder("scenarios") / "demo" / "accounts.yaml").read_text(encoding="utf-8"))
    operator, password = story.operator, _password(story.platform.data)
    institution = operator.institutions.create(Institution.model_validate(told["institution"]))
    known = {person.id for person in operator.people.list()}
    if told["person"]["id"] not in known:
        operator.people.create(NewPerson.model_validate({**told["person"], "password": password}))
    project = operator.projects.create(NewProject.model_validate(told["project"]))
    now = now_ms()
    award, voucher = told["award"], told["voucher"]
    ends = {
        name: rfc3339(now + lot["days"] * DAY_MS) for name, lot in (("award", award), ("voucher", voucher))
    }
    operator.projects.award(
        project.id, NewAward(amount=Money(amount=award["amount"]), starts=rfc3339(now), ends=ends["award"])
    )
    rate = voucher["rate_percent"]
    operator.projects.voucher(
        project.id,
        NewVoucherLot(
            face=Money(amount=voucher["face"]), rate_percent=rate, starts=rfc3339(now), ends=ends["voucher"]
        ),
    )
    story.user = Client(story.platform.api, "")
    story.user.login(told["person"]["id"], password)
    me, balance = story.user.me(), story.user.projects.balance(project.id)
    expect(
        not me.operator and project.id in {each.id for each in me.projects}, "the user was to own the project"
    )
    wanted = parse_micro(award["amount"]) + parse_micro(voucher["face"])
    expect(parse_micro(balance.available.amount) >= wanted, "award and voucher were to be available")
    story.project = project.id
    story.stage.show(f"{institution.name_zh} ({institution.kind}), project {project.id}, {me.name} signed in")
    story.stage.show(
        f"award ¥{award['amount']}, voucher ¥{voucher['face']} that pays {rate} % of each charge; "
        f"available ¥{balance.available.amount[:-4]}"
    )


def _password(data: Path) -> str:
    path = data / "user-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(15), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def submit(story: Story) -> None:
    """Step 3: the two-node training; the live view begins here and goes on below the receipt."""
    loaded = load_job(data_folder("examples") / "train-tiny-llm.yaml")
    document = override(loaded.document, envs=[f"CORPUS={story.corpus}"])
    job = story.user.jobs.submit(story.project, document)
    expect(job.num_nodes == 2, "the training was to have two nodes")
    story.job = job.id
    story.stage.show(f"submitted {job.name} as {job.id}: {job.num_nodes} nodes, corpus {story.corpus}")
    processes.await_true(lambda: _now(story).attempts, 30, "the job was not placed")


def _now(story: Story) -> Job:
    return story.user.jobs.get(story.job)


def explain(story: Story) -> None:
    """Step 4: the receipt, with every pool's score or why not, and its replay."""
    receipt, replay = story.user.jobs.receipt(story.job), story.user.jobs.replay(story.job)
    chosen = [each for each in receipt.alternatives if each.chosen]
    expect(len(chosen) == 1 and chosen[0].parts, "the receipt was to show the parts of the chosen score")
    expect(all(each.parts for each in receipt.alternatives if each.eligible), "each score was to have parts")
    expect(
        all(each.why_not and each.why_not.change for each in receipt.alternatives if not each.eligible),
        "every refusal was to name the smallest change",
    )
    expect(replay.same, "the receipt was to replay")
    show_receipt(receipt, story.stage.screen)
    show_replay(replay)


def train_and_kill(story: Story) -> None:
    """Step 5: watch the training; in its middle its site's agent is killed, and the job does not notice."""
    with View(story.stage.screen, "train-tiny-llm") as view:
        story.seen = view.seen
        killing: _Killing | None = None
        for item in watch(story.user, story.job):
            view.show(item)
            if killing is None and int(view.seen.progress.get("step", 0)) >= KILL_AFTER_STEP:
                killing = _Killing(story)
                view.say(killing.kill(), "bold red")
            elif killing is not None and not killing.over and killing.look():
                view.say(f"✔ {killing.verdict}", "bold green")
    job, seen = _now(story), story.seen
    expect(job.state == "SUCCEEDED", f"the training was to succeed, it is {job.state}: {job.reason}")
    expect(killing is not None and killing.over, "the agent was to be killed and replaced while the job ran")
    expect(len(job.attempts) == 1, "there was to be one attempt only")
    placed = [fact for fact in story.user.jobs.facts(story.job) if fact.kind == "placed"]
    expect(len(placed) == 1, "the job was to be placed once only")
    result = seen.result
    expect(result.get("loss_after", 99) < result.get("loss_before", 0), "the loss was to fall")
    story.stage.show("one placement, one attempt, no restart: the job never noticed")
    story.stage.show(
        f"{result['tokens']:,} tokens in {result['seconds']:.0f} s, {result['tokens_per_s']:,} a second; "
        f"held-out loss {result['loss_before']:.2f} → {result['loss_after']:.2f}"
    )


@dataclass(slots=True)
class _Killing:
    """The death of an agent, and what must be true after it."""

    story: Story
    site: str = ""
    before: dict[int, processes.Proc] = field(default_factory=dict)
    pid: int = 0
    step: int = 0
    at_ms: int = 0
    over: bool = False
    verdict: str = ""

    def kill(self) -> str:
        """Kill the agent of the job's site; return what to say."""
        story = self.story
        self.site, self.step = _now(story).attempts[-1].site, int(story.seen.progress["step"])
        self.before, self.pid = processes.ranks_of(story.job), story.platform.agent_pid(self.site) or 0
        expect(set(self.before) == {0, 1}, f"two ranks were to run, found {sorted(self.before)}")
        expect(self.pid, "the site was to have an agent")
        os.kill(self.pid, signal.SIGKILL)
        self.at_ms = now_ms()
        pids = ", ".join(str(each.pid) for _, each in sorted(self.before.items()))
        return f"✂ kill -9 {self.pid}: the agent of {self.site} is dead at step {self.step}; ranks are {pids}"

    def look(self) -> bool:
        """Return True once a new agent has called, and the same ranks have gone on."""
        story = self.story
        pid = story.platform.agent_pid(self.site)
        if not pid or pid == self.pid or int(story.seen.progress.get("step", 0)) <= self.step:
            return False
        site = story.user.sites.get(self.site)
        if not site.last_seen or parse_rfc3339(site.last_seen) <= self.at_ms or not site.reachable:
            return False
        after, job = processes.ranks_of(story.job), _now(story)
        expect(after == self.before, f"the ranks were to live on: before {self.before}, after {after}")
        expect(
            len(job.attempts) == 1 and job.state == "RUNNING", f"the attempt was to go on, it is {job.state}"
        )
        took_s = (now_ms() - self.at_ms) / 1000
        self.over = True
        self.verdict = (
            f"new agent {pid} after {took_s:.1f} s has adopted attempt 1: same rank processes, "
            f"step {story.seen.progress['step']}, no second attempt"
        )
        return True


def serve(story: Story) -> None:
    """Step 6: register, deploy, and ask through the official openai client."""
    model = story.user.models.register(NewModel(name="tiny-llm", project=story.project, job=story.job))
    line, result = model.lineage, story.seen.result
    expect(line.job == story.job and line.corpus and line.training, "the model was to know its origin")
    expect(
        any(file.path.endswith(".safetensors") for file in model.files), "the weights were to be safetensors"
    )
    expect(all(file.digest.startswith("sha256:") for file in model.files), "every file was to have its hash")
    story.model = model
    story.stage.show(
        f"{model.id}: {len(model.files)} files, {model.size_bytes:,} bytes, {model.digest[:23]}…, "
        f"trained by job {line.job} at {line.site} on {line.accelerator} (declared)"
    )
    wanted = NewDeployment(
        name=f"tiny-llm-v{model.version}",
        project=story.project,
        model=model.id,
        accelerators={line.accelerator: 1},
    )
    story.deployment = wait_ready(story.user, story.user.deployments.create(wanted), 120)
    expect(
        story.deployment.state == "READY", f"the deployment was to be ready, it is {story.deployment.state}"
    )
    job = story.user.jobs.get(story.deployment.job)
    expect(job.type == "service", "a deployment was to be a service job")
    story.stage.show(f"deployed as {story.deployment.call_as}, a service job at {job.attempts[-1].site}")
    key = story.user.tokens.create(NewToken(name="demo", kind="key", project=story.project))
    expect(key.secret and key.kind == "key", "a gateway key was to be made")
    _ask(story, key.secret or "")
    story.stage.say(
        f"The text is nonsense, as it must be from {result['parameters']:,} parameters after "
        f"{result['seconds']:.0f} s on CPU; but its loss fell from {result['loss_before']:.2f} to "
        f"{result['loss_after']:.2f} (knowing nothing is 7.6).",
        "bold yellow",
    )


def _ask(story: Story, key: str) -> None:
    name = story.deployment.call_as if story.deployment else ""
    client = OpenAI(base_url=f"{story.platform.gateway}/v1", api_key=key, max_retries=0)
    expect(name in {model.id for model in client.models.list()}, "the gateway was to list the model")
    screen, question = story.stage.screen, ASKED[story.corpus]
    screen.print(f"openai> {question}", style="bold")
    began_s, first_s, said, usage = time.monotonic(), 0.0, [], None
    stream = client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": question}], max_tokens=TOKENS_WANTED, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    for chunk in stream:
        text = (chunk.choices[0].delta.content or "") if chunk.choices else ""
        first_s = first_s or (time.monotonic() - began_s if text else 0.0)
        said.append(text)
        screen.print(text, end="", style="italic")
        usage = chunk.usage or usage
    screen.print()
    client.close()
    took_s = time.monotonic() - began_s
    expect(len([text for text in said if text]) > 1, "the answer was to come in pieces")
    expect(usage and usage.completion_tokens > 0 and usage.prompt_tokens > 0, "tokens were to be counted")
    counted = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out" if usage else ""
    story.stage.show(f"streamed: {counted}; the first after {first_s:.2f} s, all in {took_s:.1f} s")
    _refuse_wrong_key(story, name)


def _refuse_wrong_key(story: Story, name: str) -> None:
    stranger = OpenAI(base_url=f"{story.platform.gateway}/v1", api_key="ht_key_of_nobody", max_retries=0)
    refused = False
    try:
        stranger.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "?"}], max_tokens=1
        )
    except AuthenticationError:
        refused = True
    stranger.close()
    expect(refused, "a wrong key was to be refused")
    story.stage.show("a wrong key is refused")


def account(story: Story) -> None:
    """Step 7: everything is settled; the bill, and the proof that it adds up."""
    deployment = story.deployment
    expect(deployment is not None, "something was deployed")
    if deployment is not None:
        story.user.deployments.remove(deployment.project, deployment.name)
        served = deployment.job
        processes.await_true(lambda: story.user.jobs.bill(served).final, 60, "the service was not settled")
    bill = story.user.projects.bill(story.project, end=rfc3339(now_ms()))
    total = parse_micro(bill.total.amount)
    units = {line.unit for line in bill.lines}
    paid = Counter[str]()
    for each in bill.paid:
        paid[each.kind] += parse_micro(each.amount.amount)
    expect(bill.final and total > 0, "the bill was to be final")
    expect(
        {"card-hour", "1000 tokens in", "1000 tokens out"} <= units,
        f"cards and tokens on the bill: {units}",
    )
    expect(
        total == sum(parse_micro(line.amount.amount) for line in bill.lines),
        "the lines were to sum up",
    )
    expect(total == paid["award"] + paid["voucher"], "award and voucher were to pay all of it")
    expect(abs(paid["voucher"] * 5 - total) <= 5 * len(bill.entries), "the voucher was to pay a fifth")
    expect(parse_micro(bill.entries_sum.amount) == 0, "the entries were to sum to zero")
    expect(sum(parse_micro(e.amount.amount) for e in bill.entries) == 0, "the entries were to sum to zero")
    energy = bill.energy
    expect(float(energy.kwh) > 0 and float(energy.co2e_g) > 0, "energy and carbon were to be posted")
    expect(
        bill.peta_hours and all(view.factor_p_per_card for view in bill.peta_hours),
        "P-hours need their factor",
    )
    report = story.operator.ledger.check()
    expect(report.ok, f"the ledger was to be in order: {report.faults}")
    show_bill(bill, story.stage.screen)
    story.stage.show(
        f"entries sum to zero; the whole ledger is in order: "
        f"{report.txns} transactions, {report.entries} entries checked"
    )
