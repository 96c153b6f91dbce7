"""Streams of inference requests, and rates of many clients together."""

from pathlib import Path

import numpy as np
import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import read, read_rates, read_requests

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:46.6790900,396,109\n"
)
MOONCAKE = (
    '{"timestamp": 27, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'
    '{"timestamp": 5, "input_length": 12, "output_length": 1, "hash_ids": []}\n\n'
)


def _write(tmp_path: Path, text: str, name: str = "requests.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_azure_arrivals_count_in_milliseconds_from_the_first(tmp_path: Path) -> None:
    requests = read_requests(_write(tmp_path, AZURE))
    assert len(requests) == 2
    assert requests.arrival_ms.tolist() == [0, 2]
    assert requests.input_tokens.tolist() == [396, 374]
    assert requests.output_tokens.tolist() == [109, 44]


def test_mooncake_is_told_from_its_first_line(tmp_path: Path) -> None:
    requests = read_requests(str(_write(tmp_path, MOONCAKE, "m.jsonl")))
    assert requests.name == "m"
    assert requests.arrival_ms.tolist() == [0, 22]
    assert requests.span_ms == 22
    assert requests.output_tokens.tolist() == [1, 500]


def test_requests_are_no_jobs(tmp_path: Path) -> None:
    for text in (AZURE, MOONCAKE):
        with pytest.raises(Refused, match="use read_requests"):
            read(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (AZURE + "2023-11-16 18:15:46,x,1\n", "", "line 4: expected a number as ContextTokens"),
        (AZURE + ",1,1\n", "", "line 4: expected a time as TIMESTAMP"),
        (AZURE.replace("Context", ""), "", "line 1: expected the columns ContextTokens"),
        (MOONCAKE + "{", "", "line 4: expected a JSON object with timestamp"),
        (MOONCAKE + '{"timestamp": 1}', "", "line 4: expected a JSON object"),
        (MOONCAKE + "[1]", "", "line 4: expected a JSON object"),
        (MOONCAKE.replace("6758", '"6758"'), "", "line 1: expected numbers of at least 0"),
        (MOONCAKE.replace("6758", "true"), "", "line 1: expected numbers of at least 0"),
        (MOONCAKE.replace("6758", "-1"), "", "line 1: expected numbers of at least 0"),
        (MOONCAKE, "burst", "expected azure or mooncake, found 'burst'"),
    ],
)
def test_damaged_requests_are_refused(tmp_path: Path, text: str, kind: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        read_requests(_write(tmp_path, text), kind)
    assert says in refused.value.message


def test_rates_have_a_column_a_model_and_gaps(tmp_path: Path) -> None:
    rates = read_rates(_write(tmp_path, "t,m-large,mm\n0,212.5,5\n600,179.75,\n"))
    assert rates.start_s.tolist() == [0, 600]
    assert rates.models == ("m-large", "mm")
    assert rates.per_s[:, 0].tolist() == [212.5, 179.75]
    assert np.isnan(rates.per_s[1, 1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t\n0\n", "a column for at least one model"),
        ("t,m\n0,1\n0,2\n", "line 3: expected a later t"),
        ("t,m\n0,-1\n", "line 2: expected a number of at least 0 as m"),
        ("time,m\n0,1\n", "expected the columns t"),
    ],
)
def test_damaged_rates_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        read_rates(_write(tmp_path, text))
    assert says in refused.value.message
