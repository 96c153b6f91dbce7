"""One world for all tests of the portal's pages: told once, then only added to."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture(scope="session")
def told() -> ModuleType:
    """The module that makes worlds."""
    path = Path(__file__).with_name("world.py")
    spec = importlib.util.spec_from_file_location("portal_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def world(told: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A platform with the portal mounted, and Li's work in it."""
    with told.open_world(tmp_path_factory.mktemp("world")) as found:
        found.jobs = told.tell_story(found)
        yield found


@pytest.fixture(scope="session")
def li(world: Any) -> TestClient:
    """Li's browser, signed in."""
    browser: TestClient = world.signed_in("li")
    return browser


@pytest.fixture(scope="session")
def wang(world: Any) -> TestClient:
    """Wang's browser, signed in: a stranger to Li's project."""
    world.person("wang", "王")
    browser: TestClient = world.signed_in("wang")
    return browser
