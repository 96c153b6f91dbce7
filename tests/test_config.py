"""Settings come from the data folder and the environment, and a wrong one is named with where to set it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hutong.config import Settings, data_folder, new_ulid, now_ms
from hutong.core.kernel.errors import Refused


def test_a_fresh_folder_has_defaults_that_keep_everything_inside_it(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {})
    assert settings.database_url == f"sqlite:///{tmp_path}/hutong.sqlite"
    assert settings.objects_url == f"file://{tmp_path}/objects"
    assert settings.vault_key == tmp_path / "keys" / "vault.key"
    assert settings.api_host == "127.0.0.1"


def test_the_environment_beats_the_file_and_what_is_given_beats_both(tmp_path: Path) -> None:
    (tmp_path / "hutong.toml").write_text('api_port = 1111\ngateway_port = 2222\ndatabase = "memory:"\n')
    env = {"HUTONG_API_PORT": "3333", "HUTONG_GATEWAY_PORT": "4444", "HUTONG_HOME": "/elsewhere"}
    settings = Settings.load(tmp_path, env, gateway_port=5555, log_level=None)
    assert (settings.api_port, settings.gateway_port) == (3333, 5555)
    assert settings.database_url == "memory:"
    assert settings.data == tmp_path
    assert Settings.load(None, {"HUTONG_HOME": str(tmp_path)}).data == tmp_path


def test_a_wrong_setting_is_named_with_the_places_where_it_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "hutong.toml").write_text("api_prot = 1\n")
    with pytest.raises(Refused) as caught:
        Settings.load(tmp_path, {"HUTONG_SESSION_HOURS": "soon"})
    problems = {each.path: each for each in caught.value.problems}
    assert set(problems) == {"/api_prot", "/session_hours"}
    assert "HUTONG_SESSION_HOURS" in problems["/session_hours"].hint
    (tmp_path / "hutong.toml").write_text("this is not toml")
    with pytest.raises(Refused, match="not TOML"):
        Settings.load(tmp_path, {})


def test_ids_are_fresh_and_in_the_order_of_their_time() -> None:
    ids = [new_ulid() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(each) == 26 for each in ids)
    assert ids[0][:8] <= ids[-1][:8]
    assert now_ms() > 1_700_000_000_000


def test_shipped_data_is_found() -> None:
    assert data_folder("policies").is_dir()


def test_ids_are_not_repeated_by_threads_nor_after_a_fork() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [
            each for some in pool.map(lambda _: [new_ulid() for _ in range(500)], range(8)) for each in some
        ]
    assert len({each[10:] for each in made}) == len(made) == 4000
    code = (
        "import os, sys\n"
        "from hutong.config import new_ulid\n"
        "new_ulid()\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, new_ulid().encode())\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(new_ulid()[10:], os.read(read, 26).decode()[10:])\n"
    )
    here, there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert here != there
