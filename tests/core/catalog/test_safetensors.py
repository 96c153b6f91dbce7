"""A file is taken for safetensors only if its head and its size prove it."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.catalog.safetensors import HEADER_BYTES_MAX, check_header, header_length
from hutong.core.kernel.errors import Refused

GOOD = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
    "c": {"dtype": "I64", "shape": [0, 4], "data_offsets": [26, 26]},
}


def check(header: bytes, data_bytes: int) -> int:
    start = struct.pack("<Q", len(header))
    size = 8 + len(header) + data_bytes
    assert header_length(start, size, "x") == len(header)
    return check_header(header, size, "x")


def test_a_real_head_is_read() -> None:
    assert check(json.dumps(GOOD).encode() + b"   ", 26) == 3


@pytest.mark.parametrize(
    ("change", "data_bytes"),
    [
        ({}, 27),
        ({}, 25),
        ({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]}}, 26),
        ({"a": {"dtype": "F32", "shape": [5], "data_offsets": [4, 24]}}, 26),
        ({"a": {"dtype": "F32", "shape": [7], "data_offsets": [0, 24]}}, 26),
        ({"a": {"dtype": "PICKLE", "shape": [2, 3], "data_offsets": [0, 24]}}, 26),
        ({"a": {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}}, 26),
        ({"a": {"dtype": "F32", "shape": [2, 3]}}, 26),
        ({"a": 5}, 26),
    ],
)
def test_a_head_that_does_not_fit_is_refused(change: dict[str, object], data_bytes: int) -> None:
    with pytest.raises(Refused) as refusal:
        check(json.dumps({**GOOD, **change}).encode(), data_bytes)
    assert refusal.value.code == "unsafe_model"
    assert refusal.value.message.startswith("x is not a safetensors file")


@pytest.mark.parametrize("header", [b"{}", b"[1]", b"\x80\x04K\x05.", b'{"a":1,"a":1}', b"[" * 5000])
def test_what_is_no_head_is_refused(header: bytes) -> None:
    with pytest.raises(Refused, match="is not a safetensors file"):
        check(header, 0)


def test_a_length_beyond_the_file_or_the_limit_is_refused() -> None:
    for start, size in ((b"\x80\x04\x95", 3), (struct.pack("<Q", 100), 50), (struct.pack("<Q", 0), 8)):
        with pytest.raises(Refused):
            header_length(start, size, "x")
    with pytest.raises(Refused, match="more than"):
        header_length(struct.pack("<Q", HEADER_BYTES_MAX + 1), HEADER_BYTES_MAX * 2, "x")


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_do_worse_than_be_refused(header: bytes, data_bytes: int) -> None:
    with pytest.raises(Refused):
        check_header(header, 8 + len(header) + data_bytes, "x")
