"""Where the platform is and who one is there: the user's file, with the environment before it."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hutong.core.kernel.errors import Problem, Refused

DEFAULT_URL = "http://127.0.0.1:8470"
_FIELDS = ("url", "token", "project")


@dataclass(frozen=True, slots=True)
class Profile:
    """How to reach the platform: address, token, and the project that pays unless another is named."""

    url: str = DEFAULT_URL
    token: str = field(default="", repr=False)
    project: str = ""


def profile_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's file: `HUTONG_CONFIG`, or `hutong/config.toml` in the user's configuration folder."""
    env = os.environ if environ is None else environ
    if named := env.get("HUTONG_CONFIG"):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "hutong" / "config.toml"


def load_profile(environ: Mapping[str, str] | None = None) -> Profile:
    """Return the user's profile; `HUTONG_URL`, `HUTONG_TOKEN` and `HUTONG_PROJECT` win over the file."""
    env = os.environ if environ is None else environ
    return _with(_read(profile_file(env)), {name: env.get(f"HUTONG_{name.upper()}", "") for name in _FIELDS})


def save_profile(profile: Profile, environ: Mapping[str, str] | None = None) -> Path:
    """Write the user's file, readable by the user alone, in one step."""
    path = profile_file(environ)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows = (f"{name} = {json.dumps(getattr(profile, name), ensure_ascii=False)}\n" for name in _FIELDS)
    write_private(path, "".join(rows))
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a reader sees the old text or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(path: Path) -> Profile:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profile()
    except (OSError, ValueError) as err:
        problem = Problem("", f"{path}: {err}", "mend it or delete it, then `hutong login`")
        raise Refused("bad_config", f"the configuration {path} cannot be read", (problem,)) from err
    return _with(Profile(), {name: str(document.get(name, "")) for name in _FIELDS})


def _with(profile: Profile, said: Mapping[str, str]) -> Profile:
    return replace(profile, **{name: value for name, value in said.items() if value})
