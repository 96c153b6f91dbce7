"""What a container of the Kubernetes bed is given: its environment, its volumes, the words in its command."""

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from testbeds.kubelet.containers import Mount

Json = dict[str, Any]
Fetch = Callable[[str], Awaitable[Json | None]]  # an API path to its object; None if there is none

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class NotReadyError(Exception):
    """The pod cannot start yet; `reason` is what its status says."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as the kubelet does; an unknown name stays, `$$` is a plain `$`."""

    def one(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else env.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def read_field(pod: Json, path: str) -> str:
    """Return a field of the pod, as `fieldRef` names it."""
    if match := _FIELD.fullmatch(path):
        return str(pod["metadata"].get(match[1], {}).get(match[2], ""))
    found: Any = pod
    for step in path.split("."):
        found = found.get(step, "") if isinstance(found, dict) else ""
    return str(found)


async def _read_key(fetch: Fetch, namespace: str, source: Json) -> str | None:
    """Return what a `secretKeyRef` or `configMapKeyRef` points to; None if it is optional and absent."""
    kind, key = next((each, source[each]) for each in ("secretKeyRef", "configMapKeyRef") if each in source)
    secret = kind == "secretKeyRef"
    plural, word = ("secrets", "secret") if secret else ("configmaps", "configmap")
    found = await fetch(f"/api/v1/namespaces/{namespace}/{plural}/{key['name']}")
    value = (found or {}).get("data", {}).get(key["key"])
    if value is None and not key.get("optional"):
        raise NotReadyError("CreateContainerConfigError", f'{word} "{key["name"]}" not found')
    return base64.b64decode(value).decode() if secret and value is not None else value


async def environment(pod: Json, container: Json, base: Mapping[str, str], fetch: Fetch) -> dict[str, str]:
    """Return the container's variables: `base`, then its `env` in order."""
    env = dict(base)
    for item in container.get("env", []):
        source = item.get("valueFrom")
        value: str | None
        match source:
            case None:
                value = expand(item.get("value", ""), env)
            case {"fieldRef": field}:
                value = read_field(pod, field["fieldPath"])
            case {"secretKeyRef": _} | {"configMapKeyRef": _}:
                value = await _read_key(fetch, pod["metadata"]["namespace"], source)
            case _:
                message = f"env {item['name']}: this bed does not know {sorted(source)}"
                raise NotReadyError("CreateContainerConfigError", message)
        if value is not None:
            env[item["name"]] = value
    return env


async def _claimed_path(fetch: Fetch, namespace: str, name: str) -> Path:
    """Follow a claim to its volume, which must be a folder of this machine."""
    claim = await fetch(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}") or {}
    volume = await fetch(f"/api/v1/persistentvolumes/{claim.get('spec', {}).get('volumeName')}") or {}
    spec = volume.get("spec", {})
    path = (spec.get("hostPath") or spec.get("local") or {}).get("path")
    if not path:
        raise NotReadyError("ContainerCreating", f"claim {name}: no hostPath or local volume is bound")
    return Path(path)


def _write_files(folder: Path, source: Json, values: Mapping[str, bytes]) -> None:
    items = source.get("items") or [{"key": key, "path": key} for key in values]
    for item in items:
        if item["key"] not in values:
            raise NotReadyError("ContainerCreating", f"references non-existent key: {item['key']}")
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(values[item["key"]])


async def _fill(folder: Path, pod: Json, volume: Json, fetch: Fetch) -> None:
    """Write the files of a secret, configMap or downwardAPI volume."""
    namespace = pod["metadata"]["namespace"]
    match volume:
        case {"secret": source}:
            path, name = "secrets", source["secretName"]
        case {"configMap": source}:
            path, name = "configmaps", source["name"]
        case {"downwardAPI": source}:
            for item in source.get("items", []):
                (folder / item["path"]).write_text(read_field(pod, item["fieldRef"]["fieldPath"]))
            return
        case _:
            kinds = sorted(set(volume) - {"name"})
            raise NotReadyError(
                "ContainerCreating", f"volume {volume['name']}: this bed does not know {kinds}"
            )
    found = await fetch(f"/api/v1/namespaces/{namespace}/{path}/{name}")
    if found is None:
        if source.get("optional"):
            return
        raise NotReadyError("ContainerCreating", f'MountVolume.SetUp failed: {path[:-1]} "{name}" not found')
    data = found.get("data", {})
    values = {
        key: base64.b64decode(each) if path == "secrets" else each.encode() for key, each in data.items()
    }
    _write_files(folder, source, values)


async def volumes(pod: Json, folder: Path, fetch: Fetch) -> dict[str, Path]:
    """Make the pod's volumes, those of its own in `folder`; return where each lies."""
    places: dict[str, Path] = {}
    for volume in pod["spec"].get("volumes", []):
        name = volume["name"]
        if "hostPath" in volume:
            path, kind = Path(volume["hostPath"]["path"]), volume["hostPath"].get("type", "")
            if kind == "DirectoryOrCreate":
                path.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                message = f"MountVolume.SetUp failed: hostPath type check failed: {path} is not there"
                raise NotReadyError("ContainerCreating", message)
        elif "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            path = await _claimed_path(fetch, pod["metadata"]["namespace"], claim)
        else:
            path = folder / name
            path.mkdir(parents=True, exist_ok=True)
            if "emptyDir" not in volume:
                await _fill(path, pod, volume, fetch)
        places[name] = path
    return places


def mounts(container: Json, places: Mapping[str, Path]) -> list[Mount]:
    """Return the container's mounts of those volumes."""
    found = []
    for each in container.get("volumeMounts", []):
        source = places[each["name"]] / each.get("subPath", "")
        if not source.exists():
            source.mkdir(parents=True)
        found.append(Mount(source, each["mountPath"], each.get("readOnly", False)))
    return found
