"""Python examples in the documents are tests: each runs against a platform that is started for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.rig import Rig
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_plugins = ["tests.grouping"]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A real API on loopback with an institution, a project and a site; the environment points at it."""
    data = tmp_path_factory.mktemp("docs")
    with Rig(data, f"sqlite:///{data / 'hutong.sqlite'}") as rig, pytest.MonkeyPatch.context() as patch:
        rig.set_up()
        rig.give_money("1000000")
        patch.setenv("HUTONG_URL", rig.url)
        patch.setenv("HUTONG_TOKEN", rig.token)
        patch.setenv("HUTONG_PROJECT", "bench")
        patch.chdir(Path(__file__).parent)
        yield rig


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["*.md"], fixtures=["platform"]
).pytest()
