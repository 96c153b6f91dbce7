"""What a user may rely on of the profile: private, the environment first, a broken file named."""

from pathlib import Path

import pytest

from hutong.clients.sdk.profile import Profile, load_profile, profile_file, save_profile
from hutong.core.kernel.errors import Refused


def test_a_profile_is_kept_for_its_owner_alone_and_comes_back(tmp_path: Path) -> None:
    env = {"HUTONG_CONFIG": str(tmp_path / "deep" / "config.toml")}
    wanted = Profile("http://a.test", 'ht_"\\\n诗', "poems")
    path = save_profile(wanted, env)
    assert load_profile(env) == wanted
    assert path.stat().st_mode & 0o777 == 0o600
    save_profile(Profile("http://b.test"), env)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_profile(env) == Profile("http://b.test")
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"], "no draft is left"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env = {"HUTONG_CONFIG": str(tmp_path / "c.toml")}
    save_profile(Profile("http://a.test", "one", "poems"), env)
    assert load_profile({**env, "HUTONG_TOKEN": "two"}) == Profile("http://a.test", "two", "poems")
    assert load_profile({**env, "HUTONG_URL": "http://c.test", "HUTONG_PROJECT": "x"}).project == "x"


def test_without_a_file_the_platform_of_this_machine_is_meant(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert profile_file(env) == tmp_path / "hutong" / "config.toml"
    assert load_profile(env).url == "http://127.0.0.1:8470"


def test_a_token_is_not_shown_with_the_profile() -> None:
    assert "ht_person_secret" not in repr(Profile(token="ht_person_secret"))


def test_a_broken_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("url = = 1")
    with pytest.raises(Refused, match=str(path)):
        load_profile({"HUTONG_CONFIG": str(path)})
