"""Tables of centres: each row is taken, flagged or refused with the reason; nothing is entered by halves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.centre_table import Drafts, hold_duplicates, read_centres
from hutong.core.capacity.centres import Centre, PhaseState, Place
from hutong.core.capacity.duplicates import Known, bare_name, metres_between
from hutong.core.kernel.errors import Refused

TODAY = "2026-11-29"
HEAD = (
    "id,name,region,owner,operator,lat,lon,state,on,card,cards,p,precision,sparsity,source,document,"
    "confirmed_by"
)


def read(*rows: str, head: str = HEAD) -> Drafts:
    return read_centres(
        "\n".join((head, *rows)), TODAY, (7, "op"), lambda code: "bad" if code != "OK" else ""
    )


def row(**cells: str) -> str:
    base = {
        "id": "a", "name": "Fuyao", "region": "Ulanqab", "owner": "O", "operator": "P", "lat": "41",
        "lon": "113", "state": "in service", "on": "2025-03", "source": "notice",
    }  # fmt: skip
    return ",".join({**base, **cells}.get(name, "") for name in HEAD.split(","))


def codes(drafts: Drafts) -> list[tuple[str, list[str]]]:
    return [(each.outcome, [remark.code for remark in each.remarks]) for each in drafts.verdicts]


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"p": "999999"}, "sentinel"),
        ({"p": "9999"}, "sentinel"),
        ({"p": "-1.0"}, "sentinel"),
        ({"p": "-3"}, "negative"),
        ({"p": "many"}, "no_number"),
        ({"card": "A100", "cards": "999999"}, "sentinel"),
        ({"card": "A100", "cards": "/"}, "no_cards"),
        ({"card": "A100", "cards": "1.5"}, "bad_cards"),
        ({"cards": "100"}, "no_card"),
        ({"card": "B999", "cards": "1"}, "unknown_card"),
        ({"card": "H100", "cards": "1000", "p": "1979"}, "sparse_as_dense"),
        ({"card": "910C", "cards": "1000", "p": "400"}, "die_as_card"),
        ({"card": "910C", "cards": "1000", "p": "1600"}, "card_as_die"),
        ({"p": "5", "precision": "FP17"}, "bad_figure"),
        ({"on": "2027-01"}, "bad_date"),
        ({"on": "spring"}, "bad_date"),
        ({"on": ""}, "no_date"),
        ({"state": "running"}, "no_state"),
        ({"source": "/"}, "no_source"),
        ({"name": ""}, "no_name"),
        ({"region": "-"}, "no_region"),
        ({"id": "A b"}, "bad_id"),
        ({"lat": "95"}, "bad_place"),
        ({"lon": ""}, "bad_place"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_the_reason(cells: dict[str, str], code: str) -> None:
    found = read(row(**cells))
    assert codes(found)[0][0] == "refused"
    assert codes(found)[0][1][0] == code
    assert (found.centres, found.verdicts[0].line) == ((), 2)
    assert found.verdicts[0].remarks[0].hint


def test_gaps_are_flagged_and_taken() -> None:
    found = read(row(owner="/", operator="", lat="", lon="", p="7600"), row(id="b", document="doc", p="/"))
    assert codes(found) == [
        ("flagged", ["no_owner", "no_operator", "no_place", "no_precision"]),
        ("flagged", ["no_capacity", "half_evidence"]),
    ]
    odd = read(row(card="A100", cards="100", p="50", precision="FP16"))
    assert codes(odd) == [("flagged", ["unlikely_rate"])]
    clean = read(row(card="A100", cards="1000", p="312", precision="FP16", document="d", confirmed_by="c"))
    assert codes(clean) == [("taken", [])]
    (centre,) = clean.centres
    assert centre.place == Place(41_000_000, 113_000_000)
    assert centre.phase("1").state_at("2025-03-31") is PhaseState.IN_SERVICE
    assert centre.phase("1").proved_at(TODAY)


def test_rows_of_one_centre_are_its_cards_and_phases_and_must_agree() -> None:
    head = "id,name,region,phase,state,on,due,dated,card,cards,source"
    found = read(
        "a,A,R,1,in-service,2025,,,A100,8,s", "a,A,R,1,in-service,2025,,,H100,8,s",
        "a,,R,2,planned,,2027,2026-01,,,s", "b,B,R,1,in-service,2025,,,A100,8,s",
        "b,C,R,2,in-service,2025,,,A100,8,s", "c,D,R,1,in-service,2025,,,A100,8,s",
        "c,D,R,1,in-service,2025,,,A100,8,s", head=head,
    )  # fmt: skip
    last = {each.line: each.remarks[-1].code for each in found.verdicts}
    assert [last[line] for line in range(2, 9)] == [
        "beside_refused", "beside_refused", "no_name", "beside_refused", "contradiction", "beside_refused",
        "repeated",
    ]  # fmt: skip
    assert (found.refused, found.centres) == (7, ())
    named = read(
        "a,A,R,1,in-service,2025,,,A100,8,s", "a,A,R,1,in-service,2025,,,H100,8,s",
        "a,A,R,2,planned,,2027,2026-01,,,s", head=head,
    )  # fmt: skip
    (centre,) = named.centres
    assert [(each.model, each.cards) for each in centre.phase("1").capacity.lines] == [
        ("A100", 8),
        ("H100", 8),
    ]
    assert (centre.phase("2").plans[0].due, centre.phase("2").plans[0].told) == ("2027", "2026-01")


def test_an_id_that_is_not_given_follows_from_name_and_region() -> None:
    one, again, other = (
        read(row(id="", name=name)).centres[0].id for name in ("Fu Yao data center", "FUYAO", "Fuyin")
    )
    assert one == again
    assert one != other


def test_what_may_be_there_already_is_held_until_somebody_says_so() -> None:
    known = read(
        row(id="old", name="怀来数据中心", region="Hebei", lat="40.4", lon="115.5"),
        row(id="far", name="宣化", region="Hebei", lat="40.6", lon="115.0"),
    ).centres
    fresh = read(
        row(id="n1", name="怀来算力中心", region="Hebei", lat="39", lon="110"),
        row(id="n2", name="Other", region="Elsewhere", lat="40.4001", lon="115.5001"),
        row(id="n3", name="张北庙滩", region="Hebei", lat="41", lon="114"),
        row(id="n4", name="张北庙滩云", region="Hebei", lat="41.01", lon="114"),
        row(id="n5", name="张北庙滩园", region="Hebei", lat="41.5", lon="114"),
        row(id="n6", name="张北庙滩2", region="Hebei", lat="41.02", lon="114.02"),
    )
    held = hold_duplicates(fresh, Known.of(known), keep=False)
    assert [each.id for each in held.centres] == ["n3", "n5", "n6"], "far apart, or with another number"
    reasons = {each.centre: each.remarks[-1].message for each in held.verdicts if each.outcome == "refused"}
    assert "old (the same name" in reasons["n1"]
    assert "old (14 m away)" in reasons["n2"]
    assert "n3 (a similar name" in reasons["n4"]
    kept = hold_duplicates(fresh, Known.of(known), keep=True)
    assert [each.id for each in kept.centres] == ["n1", "n2", "n3", "n4", "n5", "n6"]
    assert [each.outcome for each in kept.verdicts if each.centre in reasons] == ["flagged"] * 3


def test_distances_and_bare_names() -> None:
    assert abs(metres_between(Place(0, 0), Place(0, 1_000_000)) - 111_195) < 60
    assert metres_between(Place(40_000_000, 179_999_999), Place(40_000_000, -179_999_999)) < 2
    assert bare_name("张家口 怀来 数据中心") == bare_name("张家口怀来算力中心") == "张家口怀来"
    assert bare_name("Data Center") == "datacenter", "a name of nothing but such words is kept"


def test_a_table_that_is_none_is_refused_whole() -> None:
    for text in (
        "",
        "id,region\n",
        "name,region,state\nA\n",
        "name,region,state,colour\na,b,c,d\n",
        "x\0y\n1\n",
    ):
        with pytest.raises(Refused):
            read_centres(text, TODAY, (7, "op"), lambda _: "")


CELL = st.text(
    st.characters(exclude_characters='",#\n\r\0', exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12
)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(HEAD.split(","), CELL)), min_size=1, max_size=4))
@settings(max_examples=60)
def test_every_row_has_one_verdict_and_no_refused_row_makes_a_centre(rows: list[dict[str, str]]) -> None:
    lines = [row(**{name: cell for name, cell in each.items() if cell}) for each in rows]
    found = read(*lines)
    assert isinstance(found, Drafts)
    assert len(found.verdicts) == len(lines)
    good = {each.centre for each in found.verdicts if each.outcome != "refused"}
    assert {each.id for each in found.centres} == good
    assert all(isinstance(each, Centre) and each.phases for each in found.centres)
