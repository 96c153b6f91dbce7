"""An object store of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.s3 import S3Server, serve_s3

from hutong.adapters.objects.open import open_objects
from hutong.adapters.objects.store import Objects


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serve_s3(tmp_path_factory.mktemp("s3"), "runs") as server:
        yield server


@pytest.fixture(params=["file", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    match request.param:
        case "file":
            return open_objects(f"file://{tmp_path}/objects")
        case "memory":
            return open_objects("memory:")
    server: S3Server = request.getfixturevalue("s3_server")
    return open_objects(server.url("runs", f"t/{tmp_path.name}"))
