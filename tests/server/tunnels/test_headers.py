"""What passes between a browser and a job: nothing of the platform's, nothing that frames a message twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.identity.tokens import make_secret
from hutong.server.gateway.apps import _path
from hutong.server.gateway.headers import (
    Headers,
    homeward,
    is_foreign,
    onward,
    visit_cookie,
    visits_of,
)

HOST = b"01abc.localhost:8471"
TOKEN = make_secret("person", "01M8HPCDTRHGR4A5PSZ3BQNKCG", bytes(32))


def sent(*headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    return dict(onward([(b"host", HOST), *headers], client="10.0.0.7", scheme="https", host=HOST))


def test_our_cookie_stays_here_and_the_jobs_own_goes_on() -> None:
    got = sent((b"cookie", b"a=1; hutong-visit=SECRET; __Host-hutong-visit=SECRET;b=2"))
    assert got[b"cookie"] == b"a=1; b=2"
    assert b"cookie" not in sent((b"cookie", b"hutong-visit=SECRET"))


def test_a_token_of_the_platform_never_reaches_a_job_and_the_jobs_own_does() -> None:
    assert b"authorization" not in sent((b"authorization", b"Bearer " + TOKEN.encode()))
    assert b"authorization" not in sent((b"authorization", b"bearer   " + TOKEN.encode()))
    assert sent((b"authorization", b"token abc"))[b"authorization"] == b"token abc"


def test_who_asks_is_what_we_see_and_not_what_is_said() -> None:
    got = sent(
        (b"x-forwarded-for", b"1.2.3.4"), (b"forwarded", b"for=1.2.3.4"), (b"x-hutong-person", b"root")
    )
    assert got[b"x-forwarded-for"] == b"10.0.0.7"
    assert got[b"x-forwarded-proto"] == b"https"
    assert got[b"x-forwarded-host"] == HOST
    assert not {b"forwarded", b"x-hutong-person"} & got.keys()


def test_a_body_is_framed_once() -> None:
    got = onward(
        [(b"host", HOST), (b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        client="", scheme="http", host=HOST,
    )  # fmt: skip
    assert [pair for pair in got if pair[0] in {b"content-length", b"transfer-encoding"}] == [
        (b"transfer-encoding", b"chunked")
    ]


def test_what_is_for_one_hop_ends_here_but_no_header_can_be_talked_away() -> None:
    got = sent(
        (b"connection", b"keep-alive, X-Secret, Cookie, Content-Length"),
        *((b"x-secret", b"1"), (b"cookie", b"a=1"), (b"content-length", b"3")),
        *((b"te", b"trailers"), (b"upgrade", b"h2c")),
    )
    assert not {b"connection", b"x-secret", b"te", b"upgrade"} & got.keys()
    assert (got[b"cookie"], got[b"content-length"]) == (b"a=1", b"3")


def test_a_job_sets_cookies_for_its_own_host_only() -> None:
    got = homeward(
        [
            (b"Set-Cookie", b"theme=dark; Domain=.example.org; Path=/; HttpOnly"),
            (b"Set-Cookie", b"hutong-visit=forged; Path=/"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Content-Type", b"text/html"),
        ]
    )
    assert got == [(b"set-cookie", b"theme=dark; Path=/; HttpOnly"), (b"content-type", b"text/html")]


def _fetched(site: bytes, mode: bytes, dest: bytes) -> Headers:
    return [(b"sec-fetch-site", site), (b"sec-fetch-mode", mode), (b"sec-fetch-dest", dest)]


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ([], False),
        ([(b"origin", b"http://" + HOST)], False),
        ([(b"origin", b"http://02abc.localhost:8471")], True),
        ([(b"origin", b"https://" + HOST)], True),
        ([(b"origin", b"null")], True),
        ([(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"cors")], False),
        ([(b"sec-fetch-site", b"same-site"), (b"sec-fetch-mode", b"no-cors")], True),
        (_fetched(b"cross-site", b"navigate", b"document"), False),
        (_fetched(b"same-site", b"navigate", b"iframe"), True),
    ],
)  # fmt: skip
def test_pages_of_other_origins_do_not_ask_in_a_visitors_name(headers: Headers, foreign: bool) -> None:
    assert is_foreign(headers, HOST, "http") is foreign


def test_over_tls_only_a_cookie_that_no_other_host_could_set_counts() -> None:
    headers = [(b"cookie", b"hutong-visit=tossed; __Host-hutong-visit=ours")]
    assert visits_of(headers, secure=True) == ("ours",)
    cookie = visit_cookie("s", 60, secure=True)
    assert cookie == b"__Host-hutong-visit=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    assert b"Domain" not in cookie


@pytest.mark.parametrize(
    "path", ["//evil.org", "/\\evil.org", "https://evil.org", "/a\r\nSet-Cookie: x=1", "", "/a b", "/é"]
)
def test_a_link_leads_to_this_host_only(path: str) -> None:
    assert _path(path) == b"/"


def test_a_link_may_lead_to_any_page_of_the_job() -> None:
    assert _path("/lab/tree/a.ipynb?reset") == b"/lab/tree/a.ipynb?reset"


NAMES = st.sampled_from(
    [
        b"cookie",
        b"authorization",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"x-forwarded-for",
        b"x",
    ]
)


@given(
    st.lists(
        st.tuples(NAMES, st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")))
    )
)
def test_whatever_comes_the_framing_is_single_and_nothing_of_ours_goes_on(headers: Headers) -> None:
    got = onward([(b"cookie", b"hutong-visit=SECRET"), *headers], client="c", scheme="http", host=HOST)
    names = [name for name, _ in got]
    assert not (b"content-length" in names and b"transfer-encoding" in names)
    assert names.count(b"x-forwarded-for") == 1
    assert all(b"hutong-visit=SECRET" not in value for _, value in got)
