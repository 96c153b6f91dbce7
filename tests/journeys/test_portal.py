"""A person's way through the portal in a real browser: no foreign host, no error, screenshots kept.

Screenshots go to the folder that HUTONG_SHOTS names, else to the test's own.
"""

import importlib.util
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from tests.server.serving import wait_for

_ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_DESKTOP, _PHONE = (1280, 900), (390, 844)


def _load_world() -> ModuleType:
    path = Path(__file__).parents[1] / "clients" / "portal" / "world.py"
    spec = importlib.util.spec_from_file_location("portal_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Journey:
    """A browser before a running platform, and what it must not have seen."""

    browser: Browser
    url: str
    world: Any
    jobs: dict[str, str]
    shots: Path
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def visitor(self, size: tuple[int, int] = _DESKTOP, **options: Any) -> BrowserContext:
        """Return a fresh browser profile whose every request and complaint is noted."""
        viewport: Any = {"width": size[0], "height": size[1]}
        context = self.browser.new_context(viewport=viewport, base_url=self.url, **options)
        context.set_default_timeout(60_000)
        context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        context.on("console", self._note)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        return context

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.type}: {message.text}")

    def shoot(self, page: Page, name: str) -> None:
        """Keep a picture of the whole page; it must not scroll sideways."""
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        page.screenshot(path=self.shots / f"{name}.png", full_page=True)
        assert wide <= 0, f"{name} is {wide} px wider than the screen"

    def sign_in(self, page: Page) -> None:
        """Sign in as Li."""
        page.goto("/")
        page.get_by_label("用户名").or_(page.get_by_label("User name")).fill("li")
        page.get_by_label("密码").or_(page.get_by_label("Password")).fill(self.world_password)
        page.locator("main button[type=submit]").click()
        page.wait_for_url("**/jobs")

    @property
    def world_password(self) -> str:
        """The password of everybody in the world."""
        return str(sys.modules["portal_world"].PASSWORD)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install -y chromium fonts-noto-cjk"
    expect.set_options(timeout=60_000)  # the machine may be busy
    module = _load_world()
    shots = Path(os.environ.get("HUTONG_SHOTS") or tmp_path_factory.mktemp("shots"))
    shots.mkdir(parents=True, exist_ok=True)
    with module.open_world(tmp_path_factory.mktemp("world")) as world:
        jobs = module.tell_story(world)
        with _serve(world.app) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(_ARGS))
            try:
                yield Journey(browser, url, world, jobs, shots)
            finally:
                browser.close()


class _serve:  # noqa: N801 - reads as a verb
    """Serves an app on a free loopback port in a thread."""

    def __init__(self, app: Any) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        wait_for(lambda: self._server.started)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=60)


@pytest.mark.slow
def test_a_day_of_li_in_both_languages_on_desktop_and_phone(journey: Journey) -> None:
    for size, looks in ((_DESKTOP, "desktop"), (_PHONE, "phone")):
        with journey.visitor(size, locale="zh-CN") as context:
            page = context.new_page()
            page.goto("/")
            journey.shoot(page, f"{looks}-zh-01-sign-in")
            journey.sign_in(page)
            _tour(journey, page, f"{looks}-zh")
            page.goto("/jobs")
            page.get_by_role("link", name="English").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("My jobs")
            assert page.locator("html").get_attribute("lang") == "en"
            _tour(journey, page, f"{looks}-en")
    with journey.visitor(locale="en-GB", color_scheme="dark") as context:
        page = context.new_page()
        page.goto("/")
        journey.shoot(page, "dark-en-01-sign-in")
        journey.sign_in(page)
        _tour(journey, page, "dark-en")
    assert journey.hosts == {urlsplit(journey.url).netloc}
    assert journey.errors == []


def _tour(journey: Journey, page: Page, name: str) -> None:
    done, waiting = journey.jobs["done"], journey.jobs["waiting"]
    page.goto("/jobs")
    expect(page.locator("table.cards tbody tr")).to_have_count(len(journey.jobs))
    expect(page.locator(".four dt")).to_have_count(4)
    journey.shoot(page, f"{name}-02-jobs")
    page.get_by_role("link", name="train-tiny-llm").click()
    expect(page.locator(".step.done")).to_have_count(6)
    expect(page.locator(".log")).to_contain_text("loss")
    journey.shoot(page, f"{name}-03-job")
    page.locator(".tabs a").nth(1).click()
    expect(page.locator(".row.chosen h3")).to_contain_text("zhangbei/910b")
    expect(page.locator(".row")).to_have_count(4)
    expect(page.locator(".row.refused .why").first).to_be_visible()
    page.locator(".row.chosen summary").click()
    page.locator("#replay button").click()
    expect(page.locator("#replay .note.good")).to_be_visible()
    journey.shoot(page, f"{name}-04-receipt")
    page.locator(".tabs a").nth(2).click()
    expect(
        page.locator(".chip.good").filter(has_text="零").or_(page.get_by_text("entries sum to zero"))
    ).to_be_visible()
    page.locator("details summary").last.click()
    journey.shoot(page, f"{name}-05-bill")
    page.goto(f"/jobs/{done}/history")
    journey.shoot(page, f"{name}-06-history")
    page.goto(f"/jobs/{waiting}")
    expect(page.locator(".note.wait")).to_be_visible()
    page.locator("#cancel summary").click()
    journey.shoot(page, f"{name}-07-waiting")
    page.goto("/sites")
    expect(page.locator(".site")).to_have_count(3)
    journey.shoot(page, f"{name}-08-sites")
    page.goto("/models")
    expect(page.locator("table.cards tbody tr")).to_have_count(2)
    journey.shoot(page, f"{name}-10-models")
    page.goto(f"/jobs/{done}/file")
    expect(page.locator("tbody a")).to_have_count(2)
    journey.shoot(page, f"{name}-11-file")
    page.goto("/jobs/new")
    page.locator("button[value=check]").click()
    expect(page.locator("#answer .rows .row")).to_have_count(4)
    journey.shoot(page, f"{name}-09-check")


@pytest.mark.slow
def test_a_running_job_is_live_and_an_unreachable_centre_stands_beside_its_state(journey: Journey) -> None:
    world, job = journey.world, journey.jobs["running"]
    attempt = world.attempt(job)
    with journey.visitor(locale="en-GB") as context:
        page = context.new_page()
        journey.sign_in(page)
        page.goto(f"/jobs/{job}")
        wait_for(lambda: open_streams(world) == 2)
        page.goto("/sites")
        wait_for(lambda: open_streams(world) == 0)
        page.goto(f"/jobs/{job}")
        state = page.locator("#job-head .chip").first
        expect(state).to_have_text("running")
        reach = world.log(attempt, "loss 2.9999 at last\n", len(world_log()))
        expect(page.locator(".log")).to_contain_text("loss 2.9999 at last")
        world.clock.ahead_ms += 10 * 60_000
        page.reload()
        expect(state).to_have_text("running")
        expect(page.locator("#job-head")).to_contain_text("centre unreachable")
        journey.shoot(page, "live-en-01-unreachable")
        world.log(attempt, "a line while away\n", reach)
        expect(page.locator(".log")).to_contain_text("a line while away")
        before = page.evaluate("performance.timeOrigin")
        world.finish(attempt, 5_000)
        expect(state).to_have_text("succeeded")
        expect(page.locator(".step.done")).to_have_count(6)
        expect(page.locator("#cancel")).to_have_count(0)
        expect(page.locator(".log")).to_contain_text("a line while away")
        assert page.evaluate("performance.timeOrigin") == before, "the page was loaded anew"
        wait_for(lambda: open_streams(world) == 0)
        journey.shoot(page, "live-en-02-finished")
    assert journey.errors == []


@pytest.mark.slow
def test_everything_works_without_scripts(journey: Journey) -> None:
    with journey.visitor(java_script_enabled=False, locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"/jobs/{journey.jobs['waiting']}?attempt=")
        page.get_by_label("User name").fill("li")
        page.get_by_label("Password").fill("wrong password")
        page.locator("main button[type=submit]").click()
        expect(page.get_by_role("alert")).to_contain_text("do not belong together")
        page.get_by_label("Password").fill(journey.world_password)
        page.locator("main button[type=submit]").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ablation-04")
        page.locator("#cancel summary").click()
        page.get_by_label("Reason").fill("no longer needed")
        page.get_by_role("button", name="Yes, cancel the job").click()
        journey.world.settle()
        page.reload()
        expect(page.locator("#job-head .chip").first).to_have_text("cancelled")
        page.goto("/jobs")
        page.get_by_label("State").select_option("CANCELLED")
        page.get_by_role("button", name="Filter").click()
        assert "state=CANCELLED" in page.url
        expect(page.locator("table.cards tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Sign out").click()
        page.goto("/jobs")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


_FAULTS = """() => {
  const faults = [], seen = new Set(), name = (e) => e.outerHTML.slice(0, 120);
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  for (const e of document.querySelectorAll("[id]")) {
    if (seen.has(e.id)) faults.push("id twice: " + e.id);
    seen.add(e.id);
  }
  let level = 0;
  for (const e of document.querySelectorAll("h1,h2,h3,h4")) {
    if (+e.tagName[1] > level + 1) faults.push("heading skipped: " + name(e));
    level = +e.tagName[1];
  }
  for (const e of document.querySelectorAll("input:not([type=hidden]),select,textarea"))
    if (!e.labels.length) faults.push("no label: " + name(e));
  for (const e of document.querySelectorAll("a,button,summary,th"))
    if (!e.textContent.trim()) faults.push("no name: " + name(e));
  for (const e of document.querySelectorAll("svg"))
    if (!e.ariaHidden && !(e.role === "img" && e.ariaLabel)) faults.push("svg: " + name(e));
  for (const e of document.querySelectorAll("[aria-labelledby],[aria-describedby]"))
    for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby")).split(" "))
      if (!document.getElementById(id)) faults.push("points nowhere: " + name(e));
  const rgb = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || !e.checkVisibility() || e.closest("option")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${name(e)}`);
  }
  return faults;
}"""


@pytest.mark.slow
def test_pages_are_labelled_ordered_and_readable_in_light_and_dark(journey: Journey) -> None:
    done = journey.jobs["done"]
    pages = ["/jobs", "/sites", "/models", "/jobs/new", "/nowhere", f"/jobs/{journey.jobs['failed']}"]
    pages += [f"/jobs/{done}{tab}" for tab in ("", "/receipt", "/bill", "/history", "/file")]
    for scheme in ("light", "dark"):
        with journey.visitor(locale="zh-CN", color_scheme=scheme) as context:
            page = context.new_page()
            page.goto("/sign-in")
            assert page.evaluate(_FAULTS) == [], "/sign-in"
            page.keyboard.press("Tab")
            journey.sign_in(page)
            for path in pages:
                page.goto(path)
                assert page.evaluate(_FAULTS) == [], f"{path} in {scheme}"


def world_log() -> bytes:
    """Return the log with which the running job began."""
    return str(sys.modules["portal_world"].LOG).encode()


def open_streams(world: Any) -> int:
    """Return how many streams the API has open, as its meters say."""
    found = re.search(r"^hutong_\w*streams\w* (\d+)", world.http.get("/metrics").text, re.MULTILINE)
    assert found, "no meter of streams"
    return int(found[1])
