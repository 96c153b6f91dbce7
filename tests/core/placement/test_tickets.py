"""The stored ticket: the same canonical bytes, whichever way they are made."""

import json
from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.documents import decode
from hutong.core.placement.receipt import VERSION, Ticket, encode_ticket

numbers = st.integers(-(2**62), 2**62)
tickets = st.builds(
    Ticket,
    version=st.just(VERSION),
    job=st.text(),
    attempt=numbers,
    page=st.sampled_from(["", "sha256:0"]),
    question=numbers,
    step=numbers,
    pool=numbers,
    cards=numbers,
    score_ppm=numbers,
    barred=st.lists(st.text(), max_size=2).map(tuple),
    booked=st.lists(st.tuples(*[numbers] * 4), max_size=1).map(tuple),
    capped=st.lists(st.tuples(*[numbers] * 5), max_size=1).map(tuple),
)


@settings(max_examples=80, deadline=None)
@given(tickets)
def test_a_ticket_is_canonical_json_without_what_is_empty(ticket: Ticket) -> None:
    late = ("barred", "booked", "capped")
    told = {name: each for name, each in asdict(ticket).items() if name not in late or each}
    told["page"] = ticket.page or "sha256:1"
    data = encode_ticket(ticket, "sha256:1")
    assert data == json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    if ticket.page:
        assert decode(Ticket, data) == ticket
