"""Sign-in through somebody else's provider in a real browser: begin, come back, join, and a refusal."""

import base64
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from testbeds.ports import Ports
from tests.oidc import mock_provider
from tests.server.serving import wait_for

from hutong.clients.portal.app import make_portal
from hutong.clients.portal.inprocess import InProcess
from hutong.clients.sdk.client import Client
from hutong.config import Settings
from hutong.core.accounts.one_time import STEP_MS, code_at
from hutong.server.api.app import make_app
from hutong.server.services import bootstrap, open_services
from hutong.wire.accounts import Institution, NewPerson, NewProject
from hutong.wire.identity import NewIssuer

PASSWORD = "a quiet alley in the north"
LI = '{"sub": "li@example.edu", "name": "李娜", "preferred_username": "li.na"}'


@contextmanager
def platform(data: Path, port: int) -> Iterator[tuple[str, str]]:
    """Serve API and portal as `hutong serve api` does; yield the address and the operator's token."""
    url = f"http://127.0.0.1:{port}"
    services = open_services(Settings(data=data, portal_url=url))
    _, token = bootstrap(services)
    app = make_app(services)
    app.mount("/", make_portal(InProcess(app)))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield url, token
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=60)
        services.close()


@dataclass
class Journey:
    """A browser before a platform that two institutions' providers are entered in."""

    browser: Browser
    url: str
    token: str
    issuers: tuple[str, str]
    shots: Path
    errors: list[str] = field(default_factory=list)

    def visitor(self) -> BrowserContext:
        """Return a fresh browser profile whose complaints are noted."""
        context = self.browser.new_context(base_url=self.url, locale="en-GB")
        context.set_default_timeout(60_000)
        # The provider's pages ask for a style sheet from elsewhere.
        context.route(lambda url: "//127.0.0.1:" not in url, lambda route: route.abort())
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on(
            "console",
            lambda message: self.errors.append(message.text) if self._ours(message) else None,
        )
        return context

    def _ours(self, message: ConsoleMessage) -> bool:
        """True for an error on a page of ours; the provider's pages are not ours to mend."""
        ours = str(message.location.get("url", "")).startswith(self.url)
        return ours and message.type == "error" and "status of 401" not in message.text

    def shoot(self, page: Page, name: str) -> None:
        """Keep a picture; it must not scroll sideways."""
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        page.screenshot(path=self.shots / f"{name}.png", full_page=True)
        assert wide <= 0

    def by_password(self, page: Page) -> None:
        """Sign Wang in."""
        page.goto("/sign-in")
        page.get_by_label("User name").fill("wang")
        page.get_by_label("Password").fill(PASSWORD)
        page.locator("form button[type=submit]").first.click()
        page.wait_for_url("**/account")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install -y chromium fonts-noto-cjk"
    expect.set_options(timeout=60_000)  # the machine may be busy
    shots = Path(os.environ.get("HUTONG_SHOTS") or tmp_path_factory.mktemp("shots"))
    data = tmp_path_factory.mktemp("platform")
    with (
        Ports() as ports,
        mock_provider(ports.take(), "--user-claims", LI) as north,
        mock_provider(ports.take(), "--user-claims", LI) as south,
        platform(data, ports.take()) as (url, token),
    ):
        with Client(url, token) as client:
            client.institutions.create(
                Institution(id="cau", kind="university", name_zh="农大", name_en="CAU")
            )
            client.people.create(NewPerson(id="wang", name="Wang", institution="cau", password=PASSWORD))
            for name, issuer, creates in (("north", north, True), ("south", south, False)):
                settings: dict[str, Any] = {
                    "url": issuer, "client_id": "hutong", "secret": "s3cret", "institution": "cau",
                    "name_zh": f"{name} 大学", "name_en": f"University {name}", "creates": creates,
                }  # fmt: skip
                client.issuers.set(name, NewIssuer(**settings))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            try:
                yield Journey(browser, url, token, (north, south), shots)
            finally:
                browser.close()


@pytest.mark.slow
def test_a_student_signs_in_at_her_university_and_lands_where_she_wanted_to_be(journey: Journey) -> None:
    with journey.visitor() as context:
        page = context.new_page()
        page.goto("/models")
        journey.shoot(page, "sign-in-issuers")
        page.get_by_role("link", name="University north").click()
        page.wait_for_url(f"{journey.issuers[0]}/**")
        page.get_by_role("button", name="li@example.edu").click()
        page.wait_for_url(f"{journey.url}/account")  # a newcomer: there is nothing else yet
        expect(page.locator("main")).to_contain_text("You are in no project yet")
        journey.shoot(page, "account")
        person = page.locator(".who").get_attribute("title")
        assert person
        assert person.startswith("li-na-")
    with Client(journey.url, journey.token) as client:
        client.projects.create(NewProject(id="weather", institution="cau", title="Weather", owner=person))
    with journey.visitor() as context:
        page = context.new_page()
        page.goto("/models")
        page.get_by_role("link", name="University north").click()
        page.get_by_role("button", name="li@example.edu").first.click()
        page.wait_for_url(f"{journey.url}/models")
        expect(page.locator(".who")).to_contain_text("李娜")
    with journey.visitor() as context:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_role("link", name="University north").click()
        page.get_by_role("button", name="Deny").click()
        page.wait_for_url(f"{journey.url}/sign-in/with/north/back**")
        expect(page.get_by_role("alert")).to_contain_text("declined")
        assert not [cookie for cookie in context.cookies() if cookie.get("name") == "ht_session"]
    assert journey.errors == []


@pytest.mark.slow
def test_wang_joins_an_identity_to_his_account_and_it_signs_in_as_him(journey: Journey) -> None:
    with journey.visitor() as context:  # before that, nobody knows it
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_role("link", name="University south").click()
        page.get_by_role("button", name="li@example.edu").click()
        page.wait_for_url(f"{journey.url}/sign-in/with/south/back**")
        expect(page.get_by_role("alert")).to_contain_text("no account here is joined to you")
        journey.by_password(page)
        page.goto("/account")
        page.get_by_role("button", name="Join an account of University south").click()
        page.wait_for_url(f"{journey.issuers[1]}/**")
        page.get_by_role("button", name="li@example.edu").first.click()
        page.wait_for_url(f"{journey.url}/account")
        expect(page.get_by_role("cell", name=journey.issuers[1])).to_be_visible()
    with journey.visitor() as context:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_role("link", name="University south").click()
        page.get_by_role("button", name="li@example.edu").first.click()
        page.wait_for_url(f"{journey.url}/account")
        expect(page.locator(".who")).to_contain_text("Wang")
    assert journey.errors == []


@pytest.mark.slow
def test_the_command_line_signs_in_by_a_browsers_consent_and_a_second_factor_is_asked_for(
    journey: Journey, tmp_path: Path
) -> None:
    profile = {**os.environ, "HUTONG_CONFIG": str(tmp_path / "config.toml"), "NO_COLOR": "1"}
    program = [sys.executable, "-m", "hutong.main", "login", journey.url, "--device"]
    with (
        subprocess.Popen(
            program, env=profile, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as cli,
        journey.visitor() as context,
    ):
        assert cli.stderr
        assert cli.stdout
        address = cli.stderr.readline().split()[-1]
        code = cli.stderr.readline().split()[1]
        page = context.new_page()
        page.goto(address)
        page.get_by_label("User name").fill("wang")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text(code)).to_be_visible()
        journey.shoot(page, "device")
        page.get_by_role("button", name="Consent").click()
        expect(page.get_by_role("status")).to_contain_text("signed in")
        assert cli.wait(timeout=60) == 0
        assert "as wang" in cli.stdout.read()
        page.goto("/account")
        page.get_by_role("button", name="Set up an authenticator").click()
        secret = page.locator(".big-code").inner_text().strip()
        journey.shoot(page, "second-factor")
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Confirm").click()
        recovery = page.locator(".recovery li").first.inner_text().strip()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("User name").fill("wang")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("authenticator")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Code").fill(recovery)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{journey.url}/account")
        expect(page.locator("main")).to_contain_text("9 recovery codes are left")
    assert journey.errors == []


def code_of(secret: str) -> str:
    """Return what an authenticator shows now."""
    return code_at(base64.b32decode(secret), int(time.time() * 1000) // STEP_MS)
