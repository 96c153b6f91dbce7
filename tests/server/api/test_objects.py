"""Bytes by digest: what whoever uploads a work folder may rely on."""

import hashlib
import os
from typing import Any

from hutong.adapters.objects.paths import content_path


def name(data: bytes) -> str:
    return f"/v1/objects/sha256:{hashlib.sha256(data).hexdigest()}"


def test_bytes_are_stored_under_their_digest_once(platform: Any, li: dict[str, str]) -> None:
    data = os.urandom(3 << 20)
    assert platform.http.head(name(data), headers=li).status_code == 404
    for _ in range(2):
        stored = platform.http.put(name(data), content=data, headers=li)
        assert (stored.status_code, stored.json()["size_bytes"]) == (200, len(data))
    head = platform.http.head(name(data), headers=li)
    assert (head.status_code, head.headers["x-size-bytes"]) == (200, str(len(data)))
    assert platform.services.objects.get(content_path(name(data).rpartition("/")[2])) == data


def test_other_bytes_are_refused_and_leave_nothing(platform: Any, li: dict[str, str]) -> None:
    answer = platform.http.put(name(b"one"), content=b"two", headers=li)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_digest")
    for bad in ("sha256:xyz", "..%2f..%2fetc", "sha256:" + "A" * 64):
        assert platform.http.put(f"/v1/objects/{bad}", content=b"x", headers=li).status_code in {404, 422}
    assert platform.services.objects.list() == ()


def test_too_many_bytes_are_refused(platform: Any, li: dict[str, str]) -> None:
    limit = platform.services.settings.bundle_bytes_max
    headers = {**li, "Content-Length": str(limit + 1)}
    answer = platform.http.put(name(b""), content=b"", headers=headers)
    assert answer.status_code == 413


def test_only_members_upload(platform: Any, li: dict[str, str]) -> None:
    assert platform.http.put(name(b"x"), content=b"x").status_code == 401
    assert platform.http.put(name(b"x"), content=b"x", headers=platform.operator).status_code == 403
