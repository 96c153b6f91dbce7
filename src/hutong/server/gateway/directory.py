"""Where a model is served: from its name to the port of the attempt that runs now, by our own book only."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from hutong.core.book.money import REQUEST
from hutong.core.capacity.sites import Site
from hutong.core.catalog.deployments import Deployment, serving
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.ledger.prices import skus_of_tokens
from hutong.server.gateway.faults import Fault, not_ready
from hutong.server.gateway.streams import host_of
from hutong.server.prices import tenant_of
from hutong.server.registry import read
from hutong.server.services import Services

KEEP_MS = 1_000
MODELS_LISTED = 200
_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """A model that is served now: where, whose, and at what price for a million tokens and for a request.

    The host is what the operator wrote into the site's record, never what an agent or a job says. A site
    without one is reached through a tunnel to the attempt `key`.
    """

    name: str
    project: ProjectId
    site: str
    host: str
    port: int
    price_in_micro: int
    price_out_micro: int
    created_ms: int
    key: AttemptKey | None = None
    price_request_micro: int = 0

    @property
    def base_url(self) -> str:
        """The address of the served process."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class Directory:
    """Finds targets, and remembers each for a second. Its methods ask the store: not for an event loop."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int, Target]] = OrderedDict()

    def recall(self, project: str, model: str) -> Target | None:
        """Return a target found less than a second ago; asks nobody."""
        with self._lock:
            entry = self._known.get(full_name(project, model))
        return entry[1] if entry is not None and self._here.clock() < entry[0] else None

    def find(self, project: str, model: str) -> Target:
        """Return where a model is served, for a key of `project`; raises Fault (404, or 503 not ready)."""
        name = full_name(project, model)
        record = self._here.store.get("deployment", name) if name.startswith(f"{project}/") else None
        if record is None:
            message = f"the model {model} does not exist or you do not have access to it"
            raise Fault(404, "model_not_found", message, param="model")
        deployment = read(Deployment, record)
        target = self._target(deployment)
        if target is None:
            raise self._unserved(deployment)
        with self._lock:
            self._known[name] = (self._here.clock() + KEEP_MS, target)
            self._known.move_to_end(name)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return target

    def forget(self, target: Target) -> None:
        """Look it up anew next time: it did not answer."""
        with self._lock:
            self._known.pop(target.name, None)

    def listed(self, project: str) -> tuple[Target, ...]:
        """Return the models of a project that are served now, as far as the book knows."""
        records = self._here.store.records("deployment", project, "", MODELS_LISTED)
        found = (self._target(read(Deployment, record)) for record in records)
        return tuple(target for target in found if target is not None)

    def _target(self, deployment: Deployment) -> Target | None:
        row = self._here.store.job(JobId(deployment.job))
        attempt = serving(row.job) if row is not None else None
        record = self._here.store.get("site", attempt.site) if attempt is not None else None
        site = read(Site, record) if record is not None else None
        if row is None or attempt is None or site is None:
            return None
        key = None if site.service_host else row.job.key(attempt)
        return Target(
            name=deployment.id,
            project=ProjectId(deployment.project),
            site=site.id,
            host=host_of(key, site.id) if key else site.service_host,
            port=attempt.port,
            price_in_micro=self._price("token_in", deployment, deployment.price_in_micro),
            price_out_micro=self._price("token_out", deployment, deployment.price_out_micro),
            created_ms=deployment.created_ms,
            key=key,
            price_request_micro=self._price(REQUEST, deployment, 0),
        )

    def _price(self, family: str, deployment: Deployment, own_micro: int) -> int:
        """Return what a million tokens, or a request, cost the project: by its book, else `own_micro`."""
        now_ms = self._here.clock()
        tariff = self._here.pools.load(now_ms).tariff
        if not tariff.prices:
            return own_micro
        tenant = tenant_of(self._here.store, deployment.project, now_ms)
        found = tariff.price(tenant, skus_of_tokens(family, deployment.id))
        return own_micro if found is None else found.micro

    def _unserved(self, deployment: Deployment) -> Fault:
        row = self._here.store.job(JobId(deployment.job))
        if row is not None and (row.job.final or row.job.cancel_by):
            message = f"the model {deployment.id} is not served any more"
            return Fault(404, "model_not_found", message, param="model")
        return not_ready(deployment.id)


def full_name(project: str, model: str) -> str:
    """Return `<project>/<name>`; a bare name is one of the key's own project."""
    return model if "/" in model else f"{project}/{model}"
