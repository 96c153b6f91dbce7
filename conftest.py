"""Python examples in the documents are tests: each runs against a platform that is started for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.rig import Rig
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_plugins = ["tests.grouping"]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("hutong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hutong")


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A real API on loopback with an institution, a project and a site."""
    data = tmp_path_factory.mktemp("docs")
    with Rig(data, f"sqlite:///{data / 'hutong.sqlite'}") as rig:
        rig.set_up()
        rig.give_money("1000000")
        yield rig


@pytest.fixture
def platform(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Let the environment point at the platform, for one example only: other tests share the process."""
    monkeypatch.setenv("HUTONG_URL", rig.url)
    monkeypatch.setenv("HUTONG_TOKEN", rig.token)
    monkeypatch.setenv("HUTONG_PROJECT", "bench")
    monkeypatch.chdir(Path(__file__).parent)
    return rig


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["*.md"], fixtures=["platform"]
).pytest()
