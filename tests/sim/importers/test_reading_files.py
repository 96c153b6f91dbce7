"""What any trace file may be like: compressed, oddly encoded, damaged, of a kind that nobody named."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import KINDS, guess, read, read_imported
from hutong.sim.importers.table import rounded, split_table

HEADER = "job_id,user,vc,gpu_num,state,submit_time,duration\n"
GOOD = HEADER + "0,u1,b,1,COMPLETED,45,30\n1,u2,a,8,FAILED,115,61.5\n"


def _write(tmp_path: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _refusal(path: Path, kind: str | None = "philly") -> str:
    with pytest.raises(Refused) as refused:
        read(path, kind)
    assert str(path) in refused.value.message
    return refused.value.message


def test_a_compressed_file_reads_as_a_plain_one_whatever_its_name(tmp_path: Path) -> None:
    plain = read(_write(tmp_path, GOOD))
    packed = read(_write(tmp_path, gzip.compress(GOOD.encode()), "packed.csv"))
    assert packed.name == "packed"
    assert packed.submit_s.tolist() == plain.submit_s.tolist() == [0, 70]
    assert packed.cards.tolist() == plain.cards.tolist() == [1, 8]


def test_spreadsheets_and_windows_leave_no_mark(tmp_path: Path) -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n") + "\r\n\r\n"
    assert len(read(_write(tmp_path, text))) == 2


@given(
    rows=st.lists(st.lists(st.sampled_from(["", "7", " a", "x;y", "\t", "é"]), min_size=2, max_size=2)),
    end=st.sampled_from(["", "\n", "\n\n"]),
    line=st.sampled_from(["\n", "\r\n", "\n\n", "\r"]),
    names=st.sampled_from([(), ("p", "q")]),
)
def test_what_has_no_quotes_reads_as_if_it_had(
    rows: list[list[str]], end: str, line: str, names: tuple[str, ...]
) -> None:
    heads = [] if names else [["p ", "q"]]
    plain, quoted = (
        line.join(",".join(map(form, row)) for row in heads + rows) + end
        for form in ("{}".format, '"{}"'.format)
    )
    found, expected = (split_table(Path("t"), text, names=names) for text in (plain, quoted))
    assert {name: list(column) for name, column in found.columns.items()} == {
        name: list(column) for name, column in expected.columns.items()
    }
    assert list(found.lines) == list(expected.lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "a trace, found 'an empty file'"),
        (b" \n\n", "a trace, found 'an empty file'"),
        (HEADER, "at least one row after the header"),
        (HEADER.replace("vc,", ""), "line 1: expected the columns vc"),
        (GOOD + "2,u1,b,four,COMPLETED,45,30\n", "line 4: expected a number as gpu_num, found 'four'"),
        (GOOD + "2,u1,b,1.5,COMPLETED,45,30\n", "line 4: expected a whole number as gpu_num, found '1.5'"),
        (GOOD + "2,u1,b,-1,COMPLETED,45,30\n", "line 4: expected a number of at least 0 as gpu_num"),
        (GOOD + "2,u1,b,,COMPLETED,45,30\n", "line 4: expected a number as gpu_num, found ''"),
        (GOOD + "2,u1,b,inf,COMPLETED,45,30\n", "line 4: expected a number below 10^12 as gpu_num"),
        (GOOD + "2,u1,b,1,COMPLETED,45,-30\n", "line 4: expected a number of at least 0 as duration"),
        (GOOD + "2,u1,b,1,COMPLETED,yesterday,30\n", "line 4: expected a number as submit_time"),
        (
            GOOD.replace("45", "2017-10-07 01:11:39"),
            "line 3: expected a date and time, such as 2017-10-07 01:11:39, as submit_time, found '115'",
        ),
        (GOOD + "2,u1,b,1,COMPL", "line 4: expected 7 fields, found '5 fields'"),
        (GOOD + '2,u1,"b,1,COMPLETED,45,30\n', "expected comma-separated fields"),
        (HEADER.replace("user", "vc"), "each column once, found 'vc twice'"),
        (GOOD.encode() + b"2,u\xe9,b,1,C,45,30\n", "line 4: expected text in UTF-8, found 'byte 0xe9'"),
        (GOOD.encode("utf-16"), "line 1: expected text in UTF-8"),
        (gzip.compress(GOOD.encode())[:-9], "a whole gz file"),
        (b"PK\x03\x04" + bytes(40), "unpack it first, found 'a zip archive'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in _refusal(_write(tmp_path, text))


def test_an_archive_in_a_compressed_file_has_to_be_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(_write(tmp_path, GOOD), "trace.csv")
    assert "a tar archive" in _refusal(_write(tmp_path, packed.getvalue(), "t.tar.gz"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in _refusal(tmp_path / "absent.csv", None)
    assert "Is a directory" in _refusal(tmp_path, None)


def test_the_line_of_a_row_counts_lines_inside_quotes(tmp_path: Path) -> None:
    text = HEADER + '0,"u\n1",b,1,COMPLETED,45,30\n1,u,b,x,COMPLETED,45,30\n'
    assert "line 4: expected a number as gpu_num, found 'x'" in _refusal(_write(tmp_path, text))


def test_a_header_that_tells_nothing_is_refused_with_the_kinds(tmp_path: Path) -> None:
    message = _refusal(_write(tmp_path, "a,b,c\n1,2,3\n"), None)
    assert all(each in message for each in KINDS)
    message = _refusal(_write(tmp_path, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,1000\n"), None)
    assert "most like openb, but has no creation_time" in message


def test_a_kind_or_an_option_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    path = _write(tmp_path, GOOD)
    with pytest.raises(Refused, match="expected one of hutong, swf, philly"):
        read(path, "filly")
    with pytest.raises(Refused, match="has no option unit; it has name"):
        read(path, unit="h")
    with pytest.raises(Refused, match="expected text"):
        read(path, name=3)


def test_the_most_telling_header_wins(tmp_path: Path) -> None:
    """Helios has every column of Philly's form in Lucid, and more."""
    for name in ("helios", "acme", "openb", "gaia", "pai", "sia", "philly", "philly-sia"):
        assert guess(_write(tmp_path, ",".join(KINDS[name].columns) + ",more\n1\n")) == name


def test_what_was_left_out_is_counted_and_said(tmp_path: Path) -> None:
    imported = read_imported(_write(tmp_path, GOOD + "2,u,a,0,FAILED,200,5\n3,u,a,1,FAILED,200,\n"))
    assert imported.left_out == {"without cards": 1, "never ran": 1}
    assert imported.trace.source.endswith("left out: 1 never ran, 1 without cards")
    assert len(imported.trace) == 2


def test_a_file_without_a_job_to_replay_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no job to replay in Microsoft Philly.*left out: 1 without cards"):
        read(_write(tmp_path, HEADER + "0,u,a,0,FAILED,200,5\n"))


def test_halves_are_rounded_up() -> None:
    assert rounded(np.array([0.5, 1.49, 1.5, 2.5, -0.5])).tolist() == [1, 1, 2, 3, 0]
