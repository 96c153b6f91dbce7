"""What the engine asks of its cluster: what it can do, what of ours it has, and changes to that."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from hutong.adapters.engines.kubernetes import build, parse
from hutong.adapters.engines.kubernetes import nodes as nodes_of
from hutong.adapters.engines.kubernetes.access import open_access
from hutong.adapters.engines.kubernetes.client import Client
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, KubernetesPool
from hutong.adapters.engines.kubernetes.mirror import Mirror
from hutong.adapters.engines.kubernetes.parse import Pod, Work
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import split_key

_log = structlog.get_logger("hutong.engines.kubernetes")
_INDEXED_SINCE = (1, 24)
_KUEUE, _JOBSET = "kueue.x-k8s.io", "jobset.x-k8s.io"
_MOST_EVENTS = 8
_TRIES = 4


class Cluster:
    """One cluster as one site sees it: objects are ours by the label of the site's origin."""

    def __init__(self, config: KubernetesConfig, origin: str, *, keep: bool = True) -> None:
        self._config = config
        self._origin = origin
        self._client = Client(open_access(config.kubeconfig, config.context), config.ask_s, keep=keep)
        self._server: tuple[tuple[int, int], frozenset[str]] | None = None
        ours = {"labelSelector": f"{parse.ORIGIN}={origin}"}
        place = "" if "{project}" in config.namespace else f"/namespaces/{config.namespace}"
        self._pods = Mirror(self._client, f"{build.PODS}{place}/pods", ours, parse.pod)
        kinds = [(build.JOBS, "jobs"), *([(build.JOBSETS, "jobsets")] if config.shape == "jobset" else [])]
        self._kinds = [
            (f"{api}{place}/{plural}", partial(parse.work, api=api, plural=plural)) for api, plural in kinds
        ]
        self._works = [Mirror(self._client, path, ours, read) for path, read in self._kinds]
        self._holding: set[str] = set()

    def close(self) -> None:
        """Follow nothing any more."""
        mirrors: list[Mirror[Pod] | Mirror[Work]] = [self._pods, *self._works]
        for mirror in mirrors:
            mirror.end()
        self._client.hang_up()
        for mirror in mirrors:
            mirror.join()
        self._client.close()

    def server(self) -> tuple[tuple[int, int], frozenset[str]]:
        """Return the server's version and its groups of resources; asked once. Raises Later, Refused."""
        if self._server is None:
            told = self._client.get("/version") or {}
            version = parse.number(told.get("major")), parse.number(str(told.get("minor", "")).rstrip("+"))
            groups = (self._client.get("/apis") or {}).get("groups") or []
            self._server = version, frozenset(str(each.get("name")) for each in groups)
        return self._server

    def shape(self, pool: KubernetesPool) -> str:
        """Return how a pool's jobs are made here. Raises Refused if the cluster lacks what they need."""
        version, groups = self.server()
        shape = self._config.shape
        if shape == "auto":
            shape = "indexed" if version >= _INDEXED_SINCE else "jobs"
        for need, asked in ((_KUEUE, bool(pool.queue)), (_JOBSET, shape == "jobset")):
            if asked and need not in groups:
                text = f"the cluster does not have {need}, which the pool's configuration needs"
                raise Refused("bad_config", text, (Problem("/pools", text, "install it, or take it out"),))
        if shape != "jobs" and version < _INDEXED_SINCE:
            text = f"the cluster is {version[0]}.{version[1]}: Indexed Jobs need 1.24"
            raise Refused("bad_config", text, (Problem("/shape", text, 'shape = "auto"'),))
        return shape

    def ours(self) -> tuple[dict[str, list[Pod]], dict[str, list[Work]]]:
        """Return our pods, those that have departed of late too, and our jobs, by key. Raises Later."""
        try:
            here, gone = self._pods.records(self._config.ask_s)
            works = [mirror.records(self._config.ask_s)[0] for mirror in self._works]
        except Refused as error:
            raise Later(error.message, 30) from error
        pods: dict[str, list[Pod]] = {}
        for pod in (*here.values(), *(replace(each, gone=True) for each in gone.values())):
            if split_key(pod.key):
                pods.setdefault(pod.key, []).append(pod)
        jobs: dict[str, list[Work]] = {}
        for work in (each for known in works for each in known.values()):
            if split_key(work.key):
                jobs.setdefault(work.key, []).append(work)
        return pods, jobs

    def ensure(self, collection: str, body: dict[str, Any]) -> bool:
        """Create an object; False if ours is there. Raises Refused if another's bears its name."""
        if self._client.create(collection, body):
            return True
        meta = body["metadata"]
        there = self._client.get(f"{collection}/{meta['name']}")
        if there is None:
            raise Later(f"{meta['name']} was there and is gone", 1)
        theirs = there["metadata"]
        same = (theirs.get("labels") or {}).get(parse.ORIGIN) == self._origin
        if not same or (theirs.get("annotations") or {}).get(parse.FENCE) != meta["annotations"][parse.FENCE]:
            text = f"the cluster has an object {meta['name']} that is not this attempt's"
            raise Refused("taken_key", text, (Problem("/key", text),))
        return False

    def holds(self, namespace: str) -> bool:
        """Return whether jobs are to bear our finalizer there: only if we may take it off. Raises Later."""
        if not self._config.finalizers or namespace in self._holding:
            return self._config.finalizers
        group, plural = build.held_kind(self._config)
        try:
            may = self.may(namespace, group, plural, "patch")
        except Refused:
            may = False
        if may:
            self._holding.add(namespace)
        else:
            _log.warning("jobs get no finalizer: the agent may not patch", what=plural, namespace=namespace)
        return may

    def held(self, origin: str) -> list[Work]:
        """Return the jobs of a site that bear our finalizer, asked now. Raises Later, Refused."""
        query = {"labelSelector": f"{parse.ORIGIN}={origin}"}
        works = (read(row) for path, read in self._kinds for row in self._client.list(path, query)[0])
        return [work for work in works if work is not None and work.held]

    def release(self, work: Work) -> None:
        """Take our finalizer off, and no other's; one that is gone, or is another by now, is no error.

        Raises Later, Refused.
        """
        for _ in range(_TRIES):
            if not work.held:
                return
            rest = [name for name in work.finalizers if name != parse.FINALIZER]
            meta = {"resourceVersion": work.version, "finalizers": rest}
            if self._client.patch(work.path, {"metadata": meta}):
                return
            now = self._client.get(work.path)
            fresh = parse.work(now, "", "") if now else None
            if fresh is None or fresh.uid != work.uid:
                return
            work = replace(work, version=fresh.version, finalizers=fresh.finalizers)
        raise Later(f"{work.path} changes faster than it can be let go of", 2)

    def delete(self, namespace: str, key: str, works: Sequence[Work]) -> None:
        """Delete all objects of an attempt. Raises Later, Refused."""
        for work in works:
            self._client.delete(work.path, work.uid)
        self.discard(f"{api}/namespaces/{namespace}/{plural}/{key}" for api, plural in self._beside())

    def discard(self, paths: Iterable[str]) -> None:
        """Delete objects by their paths. Raises Later, Refused."""
        for path in paths:
            self._client.delete(path)

    def _beside(self) -> Iterator[tuple[str, str]]:
        """Yield what an attempt has beside its jobs, each under its key."""
        if self._config.network_policies:
            yield build.NETWORK, "networkpolicies"
        if self._config.shape != "jobs" and self.server()[0] >= _INDEXED_SINCE:
            yield build.PODS, "services"

    def events(self, pods: Sequence[Pod]) -> list[tuple[str, str]]:
        """Return what events say of some pods; nothing where they cannot be had."""
        found = []
        for pod in pods[:_MOST_EVENTS]:
            path = f"{build.PODS}/namespaces/{pod.namespace}/events"
            try:
                rows, _ = self._client.list(path, {"fieldSelector": f"involvedObject.uid={pod.uid}"})
            except (Later, Refused) as error:
                _log.warning("events cannot be read", why=str(error))
                break
            found += [parse.event(row) for row in rows]
        return found

    def may(self, namespace: str, group: str, resource: str, verb: str) -> bool:
        """Return whether we may do something, in a namespace or everywhere. Raises Later, Refused."""
        asked = {"namespace": namespace, "group": group, "resource": resource, "verb": verb}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        told = self._client.ask(path, review | {"spec": {"resourceAttributes": asked}})
        return bool((told.get("status") or {}).get("allowed"))

    def refusal(self, trial: tuple[str, dict[str, Any]]) -> str:
        """Return why an object would be refused, in the cluster's words, or nothing. Raises Later."""
        path, body = trial
        try:
            self._client.ask(f"{path}?dryRun=All", body)
        except Refused as error:
            return error.message
        return ""

    def nodes(self) -> list[nodes_of.Node]:
        """Return every node. Raises Later; where we may not ask, Refused."""
        return [
            nodes_of.node(row) for page in self._client.pages(f"{build.PODS}/nodes") for row in page["items"]
        ]

    def uses(self) -> list[nodes_of.Use]:
        """Return what every pod of the cluster that is not over holds or waits for. Raises Later, Refused."""
        query = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
        found = []
        for page in self._client.pages(f"{build.PODS}/pods", query):
            found += [nodes_of.use(row, self._origin) for row in page["items"]]
        return [each for each in found if each is not None]
