"""What a site shares is to be had by name, and nothing beside it."""

import re
from pathlib import Path

import pytest
from tests.agent.scene import World

from hutong.agent.config import read_agent
from hutong.agent.offers import Offers
from hutong.agent.staging import Cache
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.spec import Input


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "srv" / "datasets"
    (folder / "zh" / "wiki").mkdir(parents=True)
    (folder / "file").write_text("x")
    (tmp_path / "srv" / "private").mkdir()
    (folder / "out").symlink_to(tmp_path / "srv" / "private")
    (folder / "in").symlink_to(folder / "zh")
    (folder / "loop").symlink_to(folder / "loop")
    return folder


def test_a_shared_folder_comes_as_it_is_and_is_not_copied(world: World, shared: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", world.link, offers=Offers(shared={"data": shared}))
    wanted = [Input("x", "", "shared", shared=each) for each in ("data", "data/zh/wiki", "data/in")]
    assert [each[1:] for each in cache.fetch(wanted)] == [
        ("shared", shared),
        ("shared", shared / "zh" / "wiki"),
        ("shared", shared / "zh"),
    ]
    assert not list((tmp_path / "cache" / "objects").iterdir())


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("data/out", "leads out"),
        ("data/../private", "leads out"),
        ("data//etc", "leads out"),
        ("data/loop", "no folder"),
        ("data/file", "is no folder"),
        ("data/none", "no folder"),
        ("other/zh", "there are: data"),
    ],
)
def test_what_is_not_shared_is_refused(shared: Path, wanted: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        Offers(shared={"data": shared}).folder(wanted)


def test_a_site_that_shares_nothing_says_so() -> None:
    with pytest.raises(Refused, match=r"no shared folder 'data' is offered here .there are none."):
        Offers().folder("data/x")
    with pytest.raises(Later):
        Offers(shared={"data": Path("/does/not/exist")}).folder("data/x")


def test_the_agent_s_file_says_what_a_site_offers(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator" / "agent.md").read_text()
    (told,) = (each for each in re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S) if "[inputs" in each)
    path = tmp_path / "agent.toml"
    head = f'site = "east"\nurl = "https://h.example"\ntoken = "t"\nroot = "{tmp_path}/agent"\n'
    path.write_text(head + told)
    offers = read_agent(path).offers
    assert offers.store("lab").endpoint == "https://s3.lab.example"
    assert offers.shared == {"datasets": Path("/srv/datasets")}
    for wrong in (
        '[inputs.shared]\ndata = "/"',
        f'[inputs.shared]\ndata = "{tmp_path}/agent/engine/attempts"',
        '[inputs.shared]\ndata = "datasets"',
        '[inputs.stores.lab]\nendpoint = "https://key:secret@host"',
        '[inputs.stores.lab]\nendpoint = "s3://x"',
    ):
        path.write_text(f"{head}{wrong}\n")
        with pytest.raises(Refused) as caught:
            read_agent(path)
        assert caught.value.problems[0].path.startswith("/inputs/")
