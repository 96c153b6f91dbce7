"""Logs are JSON lines that an operator can search, with no token and no password in them."""

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from hutong.adapters.identity.tokens import KINDS
from hutong.adapters.telemetry.logs import Lines, configure_logs, redact
from hutong.adapters.telemetry.meters import Meters

SECRET = "ht_person_01JD0000000000000000000000_" + "a" * 43


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    found = io.StringIO()
    configure_logs("INFO", found)
    yield found
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_context_and_its_level(stream: io.StringIO) -> None:
    log = structlog.get_logger("hutong.test")
    with structlog.contextvars.bound_contextvars(request="r1", trace="t1"):
        log.warning("over there", site="haidian", name_zh="海淀")
    log.debug("not shown")
    found = lines(stream)
    assert len(found) == 1
    assert found[0]["event"] == "over there"
    assert (found[0]["level"], found[0]["request"], found[0]["trace"]) == ("warning", "r1", "t1")
    assert found[0]["logger"] == "hutong.test"
    assert str(found[0]["timestamp"]).endswith("Z")
    assert "海淀" in stream.getvalue()


def test_no_token_and_no_password_gets_into_a_log_wherever_it_stands(stream: io.StringIO) -> None:
    log = structlog.get_logger("hutong.test")
    log.info(
        f"came with {SECRET}", headers={"Authorization": "Bearer xyz"}, deep=[{"x": SECRET}], password="p4ss"
    )
    logging.getLogger("library").error("it said %s", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "a" * 43 not in text
    assert "xyz" not in text
    assert "p4ss" not in text
    assert text.count("ht_person_[redacted]") == 4
    assert len(lines(stream)) == 3


def test_what_is_no_secret_stays_as_it_is() -> None:
    value = {"key": "ht-01jd0000000000000000000000-a1", "n": 1, "list": [True, None, 1.5]}
    assert redact(value) == value


def test_meters_are_those_of_one_process_and_count_what_happened() -> None:
    one, other = Meters(), Meters()
    one.request("GET", "/v1/jobs/{job}", 200, 0.003)
    one.reports("haidian", 2, 5)
    one.submitted(7)
    text = one.render().decode()
    assert 'hutong_http_requests_total{method="GET",route="/v1/jobs/{job}",status="200"} 1.0' in text
    assert 'hutong_agent_reports_total{outcome="repeat",site="haidian"} 5.0' in text
    assert "hutong_jobs_submitted_total 7.0" in text
    assert "hutong_jobs_submitted_total 0.0" in other.render().decode()


def test_a_line_a_request_is_as_other_lines_and_has_no_token(stream: io.StringIO) -> None:
    structlog.get_logger("hutong.test").info("request", path="/v1/jobs", status=200, request="r1")
    Lines("hutong.test").write("request", path="/v1/jobs", status=200, request="r1")
    Lines("hutong.test").write("request", path=f"/v1/{SECRET}", status=404)
    usual, same, hidden = lines(stream)
    assert {**usual, "timestamp": ""} == {**same, "timestamp": ""}
    assert str(same["timestamp"]).endswith("Z")
    assert hidden["path"] == "/v1/ht_person_[redacted]"
    logging.getLogger().setLevel("WARNING")
    Lines("hutong.test").write("request", status=200)
    assert len(lines(stream)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_every_kind_are_hidden(kind: str) -> None:
    assert redact(f"with {SECRET.replace('person', kind)}") == f"with ht_{kind}_[redacted]"


class Full(io.StringIO):
    """A file on a full disk."""

    def flush(self) -> None:
        """Raise what the system says."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_breaks_nothing(stream: io.StringIO) -> None:
    full, closed = Full(), io.StringIO()
    closed.close()
    for each in (full, closed):
        configure_logs("INFO", each)
        Lines("hutong.test").write("request", status=200)
    configure_logs("INFO", stream)
    Lines("hutong.test").write("request", status=201)
    assert [line["status"] for line in lines(stream)] == [201]
