"""What the pages say, to whom, and what they never let through."""

import re
from dataclasses import replace
from html import unescape
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from hutong.adapters.store.sql import SqlStore
from hutong.clients.portal.assets import load_assets
from hutong.core.book.stays import Stays
from hutong.core.kernel.quantities import HOUR_MS

_TABS = ("", "/receipt", "/bill", "/history", "/file")


def test_my_jobs_say_where_why_not_yet_and_what_it_cost(world: Any, li: TestClient) -> None:
    page = li.get("/jobs").text
    assert 'lang="zh-Hans"' in page
    assert "所需的加速卡都在使用中" in page
    assert "16 × Ascend910B" in page
    assert 'title="¥46.08">¥46.08' in page
    for name in ("已结算", "在途", "已承诺", "可用"):
        assert name in page
    english = li.get("/jobs", headers={"Accept-Language": "en"}).text
    assert "the cards it needs are in use" in english


def test_filters_are_in_the_url(world: Any, li: TestClient) -> None:
    page = li.get("/jobs?state=FAILED&project=physics").text
    assert "evaluate-weather" in page
    assert "train-tiny-llm" not in page
    assert '<option value="FAILED" selected>' in page
    assert li.get("/jobs?state=NONSENSE").status_code == 200
    assert li.get("/jobs?cursor=%00%ff").status_code == 422
    assert li.get("/jobs?project=nobodys").status_code == 404


def test_the_list_is_read_page_by_page_without_gaps(world: Any, told: ModuleType) -> None:
    ma = world.person("ma", "马")
    world.project("bulk", "多作业项目", "ma", award="0.01", voucher="0.01")
    names = [f"job-{number:02d}" for number in range(60)]
    for name in names:
        world.submit(ma, "bulk", name=name, num_nodes=1)
    browser, place, found = world.signed_in("ma"), "/jobs", []
    while place:
        page = browser.get(place).text
        found += re.findall(r">(job-\d\d)</a>", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        place = older[1].replace("&amp;", "&") if older else ""
    assert found == names[::-1]


def test_a_job_s_page_says_how_far_its_inputs_are(world: Any, li: TestClient) -> None:
    path = f"/jobs/{world.jobs['running']}"
    attempt = world.attempt(world.jobs["running"])
    site, key = attempt["site"], attempt["key"]
    world.clock.ahead_ms += 1_000
    keys = sorted(world.running[site])
    move = {"key": key, "what": "inputs", "done_bytes": 3_100_000_000, "total_bytes": 12_000_000_000}
    seen = {"at_ms": world.clock(), "known": keys, "live": keys, "moves": [move]}
    world.call("/v1/agent/report", {"sighting": seen}, world.agents[site])
    assert "中心正在获取输入数据：3.1 GB / 12 GB" in li.get(path).text
    english = li.get(path, headers={"Accept-Language": "en"}).text
    assert "The centre fetches the inputs: 3.1 GB of 12 GB" in english
    world.clock.ahead_ms += 1_000
    world.sighting(site)
    assert "中心正在获取" not in li.get(path).text


@pytest.mark.parametrize("tab", _TABS)
def test_a_job_of_a_strangers_project_is_not_found(world: Any, wang: TestClient, tab: str) -> None:
    answer = wang.get(f"/jobs/{world.jobs['done']}{tab}")
    assert answer.status_code == 404
    assert "train-tiny-llm" not in answer.text


@pytest.mark.parametrize("path", ["/events", "/log", "/log/follow", "/outputs/model/config.json"])
def test_streams_and_files_of_a_strangers_job_are_not_found(world: Any, wang: TestClient, path: str) -> None:
    answer = wang.get(f"/jobs/{world.jobs['done']}{path}")
    assert answer.status_code == 404
    assert "loss" not in answer.text


def test_a_stranger_cannot_cancel(world: Any, told: ModuleType, wang: TestClient) -> None:
    token = told.token_in(wang.get("/jobs").text)
    answer = wang.post(f"/jobs/{world.jobs['running']}/cancel", data={"form_token": token})
    assert answer.status_code == 404


def test_the_receipt_shows_every_pool_with_its_parts_or_why_not(world: Any, li: TestClient) -> None:
    page = li.get(f"/jobs/{world.jobs['done']}/receipt", headers={"Accept-Language": "en"}).text
    for pool in ("zhangbei/910b", "haidian/a100", "ulanqab/h20", "ulanqab/mlu"):
        assert pool in page
    assert "add MLU370 to resources.accelerators" in page
    scores = [float(score) for score in re.findall(r'class="score">([\d.]+)<', page)]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    points = [float(each) for each in re.findall(r'data-label="Points">([\d.]+)<', page)]
    assert sum(points[:9]) == pytest.approx(scores[0], abs=0.3)


def test_replay_decides_the_same(world: Any, told: ModuleType, li: TestClient) -> None:
    path = f"/jobs/{world.jobs['done']}/receipt"
    token = told.token_in(li.get(path).text)
    assert "结果完全一致" in li.post(path, data={"form_token": token}).text


def test_a_job_that_was_never_placed_has_no_receipt_but_a_page(world: Any, li: TestClient) -> None:
    answer = li.get(f"/jobs/{world.jobs['waiting']}/receipt")
    assert answer.status_code == 200
    assert "还没有凭据" in answer.text


def test_the_bill_says_who_paid_and_that_its_entries_sum_to_zero(world: Any, li: TestClient) -> None:
    page = li.get(f"/jobs/{world.jobs['done']}/bill").text
    assert "分录合计为零" in page
    assert "¥18.432" in page, "the voucher pays 40 %"
    assert "¥27.648" in page, "the award pays the rest"
    assert "2.8224 kWh" in page
    assert "0.3132 P" in page


def test_the_history_tells_every_fact_in_words(world: Any, li: TestClient) -> None:
    page = li.get(f"/jobs/{world.jobs['done']}/history").text
    assert "李" not in re.findall(r'<ol class="facts">.*</ol>', page, re.DOTALL)[0]
    for text in ("li 提交了作业", "第 1 次尝试安排到 zhangbei/910b", "作业结束：成功"):
        assert text in page


def test_a_log_is_followed_to_its_end_and_taken_up_where_it_broke_off(
    world: Any, told: ModuleType, li: TestClient
) -> None:
    path = f"/jobs/{world.jobs['failed']}/log/follow"
    whole = li.get(path)
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert "KeyError" in whole.text
    assert whole.text.endswith("event: end\ndata: {}\n\n")
    places = [int(each) for each in re.findall(r"^id: (\d+)$", whole.text, re.MULTILINE)]
    again = li.get(path, headers={"Last-Event-ID": str(places[-1])})
    assert "KeyError" not in again.text
    text = li.get(f"/jobs/{world.jobs['failed']}/log")
    assert text.headers["content-disposition"].startswith("attachment")
    assert text.text.startswith("Traceback")


def test_facts_stream_until_the_job_is_over(world: Any, li: TestClient) -> None:
    told = li.get(f"/jobs/{world.jobs['done']}/events?after=3").text
    assert "id: 3\n" not in told
    assert '"kind": "finished"' in told
    assert told.endswith("event: end\ndata: {}\n\n")


def test_limits_of_power_are_shown_in_both_languages(world: Any, li: TestClient) -> None:
    site = world.call("/v1/sites", verb="GET")["items"][0]["id"]
    world.call(f"/v1/sites/{site}/power-limits", {"limit_kw": 1200})
    window = {"start": "2100-01-01T10:00:00Z", "end": "2100-01-01T12:00:00Z", "reason": "需求响应"}
    made = world.call(f"/v1/sites/{site}/power-limits", {"limit_kw": 800, **window})["power_limits"]
    page = li.get("/sites").text
    assert "不超过 1200 kW；当前作业用电" in page
    assert "不超过 800 kW" in page
    assert "· 需求响应" in page
    english = li.get("/sites", headers={"Accept-Language": "en"}).text
    assert "at most 1200 kW; jobs draw" in english
    assert "2100-01-01" in english
    for each in made:
        world.call(f"/v1/sites/{site}/power-limits/{each['id']}", verb="DELETE")
    assert "1200 kW" not in li.get("/sites").text


def test_sites_show_chips_prices_and_reach(world: Any, li: TestClient) -> None:
    page = li.get("/sites").text
    for text in ("海淀算力中心", "Ascend910B", "¥6.40", "1.12", "78.0 %", "在线", "申报"):
        assert text in page
    assert "Zhangbei Green Computing Centre" in li.get("/sites", headers={"Accept-Language": "en"}).text
    assert "中断" not in page, "no site has broken a run"


def test_a_site_that_broke_runs_says_how_seldom(li: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    real, known = SqlStore.snapshot, {"zhangbei": Stays(3_000 * HOUR_MS, 2_000_000)}
    monkeypatch.setattr(
        SqlStore, "snapshot", lambda self, at_ms, limits: replace(real(self, at_ms, limits), stays=known)
    )
    assert "约每 3,111 节点时中断一次运行" in li.get("/sites").text
    english = li.get("/sites", headers={"Accept-Language": "en"}).text
    assert english.count("Breaks one run in 3,111 node-hours") == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run: echo\nnum_nodes: -1\n", "第 2 行"),
        ("run: [", "第 1 行"),
        ("a: &x [*x]", ""),
        ("\x00", ""),
        ("", ""),
    ],
)
def test_a_bad_job_file_is_told_by_line_and_kept_in_the_form(
    world: Any, told: ModuleType, li: TestClient, text: str, line: str
) -> None:
    token = told.token_in(li.get("/jobs/new").text)
    for action in ("check", "submit"):
        form = {"project": "physics", "text": text, "action": action, "form_token": token}
        answer = li.post("/jobs/new", data=form)
        assert answer.status_code == 422
        assert "作业文件有误" in answer.text
        assert line in answer.text


def test_checking_stores_nothing_and_submitting_leads_to_the_job(
    world: Any, told: ModuleType, li: TestClient
) -> None:
    token = told.token_in(li.get("/jobs/new").text)
    form = {
        "project": "physics",
        "text": "name: small\nresources: {accelerators: 'A100:1'}\nrun: date\n",
        "form_token": token,
    }
    answer = li.post("/jobs/new", data={**form, "action": "check"})
    assert "会安排到 haidian/a100" in answer.text
    assert ">small</a>" not in li.get("/jobs").text
    place = li.post("/jobs/new", data={**form, "action": "submit"}).headers["location"]
    assert "small" in li.get(place).text


def test_what_users_write_is_shown_as_text(world: Any, told: ModuleType) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    zhao = world.person("zhao", evil)
    world.project("markup", evil, "zhao")
    job = world.submit(zhao, "markup", name="markup", run=evil, envs={"X": evil}, num_nodes=1)
    attempt = world.start(job)
    world.log(attempt, evil + "\n")
    browser = world.signed_in("zhao")
    token = told.token_in(browser.get(f"/jobs/{job}").text)
    browser.post(f"/jobs/{job}/cancel", data={"form_token": token, "reason": evil})
    pages = [browser.get(f"/jobs/{job}{tab}").text for tab in _TABS]
    pages += [browser.get("/jobs").text, browser.get("/sites").text, browser.get("/jobs/new").text]
    form = {"project": evil, "text": evil, "action": "check", "form_token": token}
    pages += [browser.post("/jobs/new", data=form).text, browser.get(f"/{evil}").text]
    assert sum("&lt;script&gt;" in page for page in pages) >= 6
    for page in pages:
        assert "<script>" not in page
        assert "<img" not in page


def test_no_page_needs_what_the_policy_forbids(world: Any, li: TestClient) -> None:
    done = world.jobs["done"]
    for path in (
        "/sign-in",
        "/jobs",
        "/sites",
        "/models",
        "/jobs/new",
        "/nowhere",
        *(f"/jobs/{done}{tab}" for tab in _TABS),
    ):
        answer = li.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", answer.text), (
            path
        )
        assert not re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', answer.text), path


def test_assets_are_kept_by_browsers_and_change_name_with_their_content(world: Any, li: TestClient) -> None:
    for name, asset in load_assets().items():
        answer = li.get(asset.url)
        assert answer.status_code == 200, name
        assert answer.content == asset.content
        assert "immutable" in answer.headers["cache-control"]
        assert li.get(asset.url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert li.get(asset.url.replace(asset.digest[:16], "0" * 16)).status_code == 404
    for path in ("/assets/x/../../../app.py", "/assets/0/%2e%2e/app.py"):
        assert li.get(path).status_code == 404


def test_bad_numbers_and_names_in_the_url_are_told_not_stumbled_over(world: Any, li: TestClient) -> None:
    done = world.jobs["done"]
    for path, status in (
        (f"/jobs/{done}?rank=x", 422), (f"/jobs/{done}?rank=99", 422), (f"/jobs/{done}?attempt=9", 200),
        (f"/jobs/{done}/receipt?attempt=9", 404), (f"/jobs/{done}/receipt?attempt=-1", 422),
        ("/jobs/nothing", 422), (f"/jobs/{'0' * 26}", 404), (f"/jobs/{done}/outputs/nothing", 404),
        ("/nowhere", 404), (f"/jobs/{done}/log?rank=٣", 422),
    ):  # fmt: skip
        answer = li.get(path)
        assert answer.status_code == status, path
        assert "<h1>" in answer.text


def test_the_job_file_can_be_copied_and_submitted_again(world: Any, told: ModuleType, li: TestClient) -> None:
    page = li.get(f"/jobs/{world.jobs['done']}/file").text
    text = unescape(re.findall(r'<pre class="code"[^>]*>(.*?)</pre>', page, re.DOTALL)[0])
    form = {
        "project": "physics",
        "text": text,
        "action": "check",
        "form_token": told.token_in(li.get("/jobs/new").text),
    }
    answer = li.post("/jobs/new", data=form)
    assert answer.status_code == 200
    assert "如果现在提交" in answer.text


def test_models_show_where_they_come_from_and_how_to_call_them(world: Any, li: TestClient) -> None:
    page = li.get("/models").text
    assert "physics/chat" in page
    assert f'href="/jobs/{world.jobs["done"]}"' in page
    assert "zhangbei · Ascend910B" in page


def test_files_of_a_job_are_downloads_never_pages(world: Any, told: ModuleType, li: TestClient) -> None:
    page = li.get(f"/jobs/{world.jobs['done']}/file").text
    assert "model/model.safetensors" in page
    answer = li.get(f"/jobs/{world.jobs['done']}/outputs/model/config.json")
    assert answer.content == told.MODEL["config.json"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_job_of_an_array_says_so_and_leads_to_the_others(world: Any, told: ModuleType) -> None:
    fan = world.person("fan", "范")
    world.project("sweeps", "参数扫描", "fan", award="0.01", voucher="0.01")
    text = "name: sweep\nresources: {accelerators: 'Ascend910B:1'}\nrun: x\narray: 3-5%2\n"
    browser = world.signed_in("fan")
    form = re.search(r'name="form_token" value="([^"]+)"', browser.get("/jobs/new").text)
    assert form is not None
    answer = browser.post(
        "/jobs/new",
        data={"form_token": form[1], "project": "sweeps", "text": text, "action": "submit"},
        follow_redirects=False,
    )
    assert answer.status_code == 303, answer.text
    listed = browser.get(answer.headers["location"], headers={"Accept-Language": "en"}).text
    assert [int(index) for index in re.findall(r"· index (\d)", listed)] == [5, 4, 3]
    assert "others of its array come first" in listed
    job = re.findall(r'href="/jobs/([0-9A-Z]{26})"', listed)[0]
    page = browser.get(f"/jobs/{job}", headers={"Accept-Language": "en"}).text
    assert f'<a href="{answer.headers["location"]}">index 5 of an array</a>' in page
    assert browser.get("/jobs?array=nonsense").status_code == 422
    assert fan
