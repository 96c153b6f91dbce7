"""What a caller with the official client, and whoever pays, may rely on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from hutong.core.accounts.registry import FOREVER_MS, InstitutionKind
from hutong.core.book.money import HoldChange, HoldPart, LotKind, Posting
from hutong.core.book.prices import Book, Books, Price, Timeline
from hutong.core.book.store import Record
from hutong.core.kernel.ids import ProjectId, ulid
from hutong.core.ledger.giving_back import amount_of
from hutong.server.registry import document

ASK: dict[str, Any] = {"model": "physics/chat", "messages": [{"role": "user", "content": "Say five words."}]}


def quantities(usage: list[Any]) -> dict[str, int]:
    return {each.unit: each.quantity for each in usage}


def test_a_whole_answer_is_relayed_and_billed_by_the_engines_count(served: Any) -> None:
    answer = served.client().chat.completions.create(**ASK, max_tokens=20)
    assert answer.choices[0].message.content == "word word word word word"
    assert answer.model == "physics/chat"
    assert served.upstream.seen[0]["model"] == "model"
    assert served.upstream.seen[0]["max_tokens"] == 20
    usage = served.settled(1)
    assert quantities(usage) == {"token_in": 7, "token_out": 5}
    assert [(each.charge_micro, each.method, each.site) for each in usage] == [
        (7, "upstream", "haidian"),
        (10, "upstream", "haidian"),
    ]
    (txn,) = served.store.txns(ProjectId("physics"), usage[0].key, "", 10)
    assert txn.kind == "tokens"
    assert {each.account: each.amount_micro for each in txn.entries} == {"lot:test-1": -17, "revenue": 17}


def test_a_request_pays_the_price_of_its_institutions_book(served: Any) -> None:
    price = Price("all.1", 0, FOREVER_MS, 3_000_000, 10**6, "agreed", "op", 0)
    line = Timeline("unis", "token_in:physics/chat", (price,))
    book = Book("unis", "", (InstitutionKind.UNIVERSITY,))
    served.store.put(Record("price_book", "all", document(Books((book,)))))
    served.store.put(Record("price", line.id, document(line), "unis"))
    served.platform.services.pools.forget()
    served.client().chat.completions.create(**ASK, max_tokens=20)
    assert [(each.unit, each.charge_micro) for each in served.settled(1)] == [
        ("token_in", 21),
        ("token_out", 10),
    ]


def test_a_request_with_a_price_pays_it_once_and_none_that_fails(served: Any) -> None:
    price = Price("all.1", 0, FOREVER_MS, 20_000, 1, "agreed", "op", 0)
    line = Timeline("all", "service_request", (price,))
    served.store.put(Record("price_book", "all", document(Books((Book("all", ""),)))))
    served.store.put(Record("price", line.id, document(line), "all"))
    served.platform.services.pools.forget()
    served.client().chat.completions.create(**ASK, max_tokens=20)
    served.settled(1)
    told = {each.unit: each for each in served.usage()}
    assert (told["service_request"].quantity, told["service_request"].charge_micro) == (1, 20_000)
    (charge,) = served.store.txns(ProjectId("physics"), told["token_in"].key, "", 10)
    assert len(served.store.records_of([charge])[charge.id]) == 3
    assert amount_of(charge) == sum(each.charge_micro for each in told.values()) == 20_017
    served.upstream.refuse = 400
    with pytest.raises(openai.BadRequestError):
        served.client().chat.completions.create(**ASK)
    assert len(served.usage()) == 3


@pytest.mark.parametrize("wants", [False, True])
def test_a_stream_is_passed_on_with_usage_only_where_asked_for(served: Any, wants: bool) -> None:
    more = {"stream_options": {"include_usage": True}} if wants else {}
    chunks = list(served.client().chat.completions.create(**ASK, stream=True, **more))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "word " * 5
    assert {chunk.model for chunk in chunks} == {"physics/chat"}
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([5] if wants else [])
    assert served.upstream.seen[0]["stream_options"] == {"include_usage": True}
    assert served.upstream.seen[0]["max_tokens"] == 1024
    assert quantities(served.settled(1)) == {"token_in": 7, "token_out": 5}


def test_who_saw_the_end_of_an_answer_has_paid_for_it(served: Any) -> None:
    list(served.client().chat.completions.create(**ASK, stream=True))
    assert served.gateway_holds() == []
    assert len(served.usage()) == 2


def test_an_engine_that_does_not_count_is_counted(served: Any) -> None:
    served.upstream.usage = False
    list(served.client().chat.completions.create(**ASK, stream=True))
    usage = served.settled(1)
    assert quantities(usage) == {"token_in": 4, "token_out": 5}
    assert {each.method for each in usage} == {"counted"}
    served.client().chat.completions.create(**ASK)
    assert sum(each.quantity for each in served.settled(2) if each.unit == "token_out") == 5 + 6


def test_a_caller_who_leaves_pays_for_what_was_passed_on(served: Any) -> None:
    served.upstream.gate = threading.Event()
    stream = served.client().chat.completions.create(**ASK, stream=True)
    texts = [chunk.choices[0].delta.content for _, chunk in zip(range(3), stream, strict=False)]
    assert texts == ["", "word ", "word "]
    stream.close()
    usage = served.settled(1)
    assert quantities(usage) == {"token_in": 4, "token_out": 2}
    assert {each.method for each in usage} == {"counted"}
    assert served.upstream_saw_the_caller_leave()


def test_an_engine_that_dies_on_the_way_is_paid_for_what_came(served: Any) -> None:
    served.upstream.die_after = 3
    got: list[str] = []

    def listen() -> None:
        stream = served.client().chat.completions.create(**ASK, stream=True)
        got.extend(chunk.choices[0].delta.content for chunk in stream)

    with pytest.raises(openai.APIError, match="broke off"):
        listen()
    assert got == ["", "word ", "word ", "word "]
    assert quantities(served.settled(1)) == {"token_in": 4, "token_out": 3}


def test_what_the_engine_refuses_costs_nothing(served: Any) -> None:
    for status, error, message in (
        (400, openai.BadRequestError, "the context is too long"),
        (500, openai.InternalServerError, "answered 500"),
        (503, openai.InternalServerError, "not ready"),
    ):
        served.upstream.refuse = status
        with pytest.raises(error, match=message):
            served.client().chat.completions.create(**ASK)
    served.settled(0)
    assert served.usage() == []


def test_64_at_once_never_spend_more_than_there_is(world: Any) -> None:
    """A token costs one yuan; 20 yuan are free; each request may cost ten and costs five."""
    world.award(1_000 * 1_000_000)
    world.register(world.train())
    world.deploy(price_in="0", price_out="1000000")
    (lot,) = world.store.lots(ProjectId("physics"))
    spare = lot.available_micro - 20_000_000
    world.store.post(Posting(holds=(HoldChange("ht-other", lot.project, (HoldPart(lot.id, spare),)),)))
    clients = [world.client(world.key()) for _ in range(8)]

    def call(number: int) -> str:
        try:
            list(clients[number % 8].chat.completions.create(**ASK, max_tokens=10, stream=True))
        except openai.RateLimitError as error:
            return str(error.code)
        return "served"

    with ThreadPoolExecutor(64) as pool:
        outcomes = list(pool.map(call, range(64)))
    served = outcomes.count("served")
    assert 2 <= served <= 3
    assert outcomes.count("insufficient_quota") == 64 - served
    usage = world.settled(served)
    assert sum(each.charge_micro for each in usage) == served * 5_000_000
    (after,) = world.store.lots(ProjectId("physics"))
    assert after.available_micro == 20_000_000 - served * 5_000_000 >= 0


def test_a_voucher_pays_its_share_of_tokens(world: Any) -> None:
    voucher = world.award(500 * 1_000_000, LotKind.VOUCHER, 300_000)
    world.award(500 * 1_000_000)
    world.register(world.train())
    world.deploy(price_in="1000", price_out="1000")
    world.client().chat.completions.create(**ASK)
    usage = world.settled(1)
    (txn,) = world.store.txns(ProjectId("physics"), usage[0].key, "", 10)
    amounts = {each.account: each.amount_micro for each in txn.entries}
    assert amounts == {f"lot:{voucher}": -3_600, "lot:test-2": -8_400, "revenue": 12_000}


def test_a_hold_whose_gateway_was_killed_is_let_go(served: Any) -> None:
    from hutong.server.gateway.purse import STALE_MS, Purse

    services = served.platform.services
    (lot,) = served.store.lots(ProjectId("physics"))
    old = f"gw-{ulid(services.clock() - STALE_MS - 1, bytes(10))}"
    fresh = f"gw-{services.new_id()}"
    for key in (old, fresh):
        change = HoldChange(key, lot.project, (HoldPart(lot.id, 5),))
        served.store.post(Posting(holds=(change,)))
    purse = Purse(services.store, services.clock, services.new_id)
    assert purse.sweep() == 1
    assert [each.key for each in served.gateway_holds()] == [fresh]
    assert purse.sweep() == 0


def test_a_budget_of_money_that_blocks_refuses_a_request_until_there_is_more(served: Any) -> None:
    http, clock = served.platform.http, served.platform.clock
    budget = {
        "scope": "project", "name": "physics", "unit": "CNY", "amount": "0.000001",
        "thresholds": [{"percent": 100, "action": "notify"}],
    }  # fmt: skip

    def put(amount: str, action: str) -> None:
        body = {**budget, "amount": amount, "thresholds": [{"percent": 100, "action": action}]}
        answer = http.put("/v1/budgets/models", json=body, headers=served.platform.operator)
        assert answer.status_code == 200, answer.text
        clock.ahead_ms += 2_001  # what is spent is remembered for so long

    client = served.client()
    put("0.000001", "notify")
    assert client.chat.completions.create(**ASK).choices
    put("0.000001", "block_new")
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(**ASK)
    assert refused.value.code == "budget_exhausted"
    assert "budget models of project physics leaves 0.000000 CNY" in str(refused.value)
    assert served.gateway_holds() == []
    put("1000", "block_new")
    assert client.chat.completions.create(**ASK).choices


def test_a_model_is_known_by_its_short_name_in_its_project(served: Any) -> None:
    assert served.client().chat.completions.create(**{**ASK, "model": "chat"}).model == "physics/chat"
    assert [model.id for model in served.client().models.list()] == ["physics/chat"]
    assert served.client().models.retrieve("chat").owned_by == "physics"


def test_another_projects_models_do_not_exist(served: Any) -> None:
    stranger = served.client(served.key("biology"))
    for name in ("physics/chat", "chat", "physics/none", "../x", "biology/../physics/chat"):
        with pytest.raises(openai.NotFoundError) as missing:
            stranger.chat.completions.create(**{**ASK, "model": name})
        assert missing.value.code == "model_not_found"
    assert list(stranger.models.list()) == []
    assert served.upstream.seen == []


def test_only_keys_open_the_gateway(served: Any) -> None:
    person = served.headers["Authorization"].split()[1]
    key = served.key()
    nearly = key[:-1] + ("x" if key[-1] != "x" else "y")
    for secret in ("nonsense", person, nearly):
        with pytest.raises(openai.AuthenticationError) as denied:
            served.client(secret).models.list()
        assert denied.value.code == "invalid_api_key"
    assert httpx2.get(f"{served.url}/models").status_code == 401
    assert httpx2.get(f"http://127.0.0.1:{served.gateway_port}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"n": 100}, "n"),
        ({"messages": []}, "messages"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
    ],
)
def test_a_bad_request_names_the_field(served: Any, change: dict[str, Any], param: str) -> None:
    headers = {"Authorization": f"Bearer {served.key()}"}
    answer = httpx2.post(f"{served.url}/chat/completions", json={**ASK, **change}, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert served.upstream.seen == []


def test_what_is_no_request_is_refused(served: Any) -> None:
    headers = {"Authorization": f"Bearer {served.key()}"}
    url = f"{served.url}/chat/completions"
    assert httpx2.post(url, content=b"{", headers=headers).json()["error"]["code"] == "bad_json"
    assert httpx2.post(url, content=b"[]", headers=headers).status_code == 400
    assert httpx2.post(url, content=b"x" * (5 << 20), headers=headers).status_code == 413
    assert httpx2.get(url, headers=headers).status_code == 405
    assert httpx2.get(f"{served.url}/embeddings", headers=headers).status_code == 404


def test_a_model_that_is_not_ready_says_when_to_ask_again(served: Any) -> None:
    served.deploy(name="starting", start=False)
    client = served.client()
    with pytest.raises(openai.InternalServerError) as waiting:
        client.chat.completions.create(**{**ASK, "model": "starting"})
    assert waiting.value.status_code == 503
    assert waiting.value.response.headers["retry-after"] == "2"
    served.upstream_port = 9  # nothing listens there
    served.deploy(name="deaf")
    with pytest.raises(openai.InternalServerError) as waiting:
        client.chat.completions.create(**{**ASK, "model": "deaf"})
    assert waiting.value.code == "model_not_ready"
    assert [model.id for model in client.models.list()] == ["physics/chat"]
    served.settled(0)


def test_a_stopped_model_does_not_exist_any_more(served: Any) -> None:
    stopped = served.platform.http.delete("/v1/deployments/physics/chat", headers=served.headers)
    assert stopped.json()["state"] == "STOPPING"
    with pytest.raises(openai.NotFoundError):
        served.client().chat.completions.create(**ASK)
