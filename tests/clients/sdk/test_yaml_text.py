"""A document written as YAML is read as the same document, and scripts stay readable."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.clients.sdk.jobfile import parse_job
from hutong.clients.sdk.yaml_text import write_job

ODD = st.text("\t\na#:-'\"\\ ", max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | ODD
WORDS = st.sampled_from(
    [
        *("yes", "No", "null", "~", "010", "08", "1.10", "1e5", ".inf", "-", "a: b", "x #y", "12:30", "0x10"),
        *("2h", "=", "4+", "a100:8", "80:90", "<<", "---", "...", "@x", "%x", "*a", "&a", "!a", "", " "),
        *("\n", "\n\n", " a\nb", "{", "a,b", "[x]"),
    ]
)
VALUES = st.recursive(
    TEXT | WORDS | st.integers(-1000, 10**6) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "run", "setup", "envs", "resources", "workdir"]) | WORDS,
        VALUES,
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=500, deadline=None)
def test_what_is_written_is_read_again(document: dict[str, object]) -> None:
    assert parse_job(write_job(document).encode(), verbatim=frozenset()).document == document


def test_scripts_are_blocks_and_the_rest_is_plain() -> None:
    document = {
        "name": "train",
        "num_nodes": 2,
        "resources": {"accelerators": "H100:8", "cpus": "8+", "memory": "64GiB"},
        "envs": {"A": "1"},
        "secrets": ["HF_TOKEN"],
        "network": True,
        "run": "set -e\n  训练 \n\necho 'a: b' # c\n",
    }
    assert write_job(document) == (
        "name: train\nnum_nodes: 2\nresources:\n  accelerators: H100:8\n  cpus: 8+\n  memory: 64GiB\n"
        'envs:\n  A: "1"\nsecrets:\n  - HF_TOKEN\nnetwork: true\n'
        "run: |\n  set -e\n    训练 \n\n  echo 'a: b' # c\n"
    )
