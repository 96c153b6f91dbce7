"""Everything the server's parts share, built in one place and handed to each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hutong.adapters.identity.passwords import Lockout
from hutong.adapters.identity.providers import Providers
from hutong.adapters.identity.tokens import Principals
from hutong.adapters.identity.vault import Vault
from hutong.adapters.objects.open import open_objects
from hutong.adapters.objects.store import Objects
from hutong.adapters.store.open import open_store
from hutong.adapters.telemetry.meters import Meters
from hutong.config import Settings, new_ulid, now_ms
from hutong.core.accounts.registry import Person
from hutong.core.book.audit import Author
from hutong.core.book.store import Store
from hutong.core.control.rules import Rules
from hutong.server import people
from hutong.server.audited import audited
from hutong.server.bell import Bell
from hutong.server.logs import LogBook
from hutong.server.pools import Pools
from hutong.server.submissions import Submissions
from hutong.server.subsidies.programmes import Rules as SubsidyRules
from hutong.server.summons import SummonsSoFar


@dataclass(frozen=True, slots=True)
class Services:
    """What the API, the gateway and the loop work with. Close it after all of them have stopped."""

    settings: Settings
    store: Store
    objects: Objects
    vault: Vault
    bell: Bell
    submissions: Submissions
    pools: Pools
    logs: LogBook
    principals: Principals
    lockout: Lockout
    providers: Providers
    meters: Meters
    rules: Rules
    programmes: Mapping[str, SubsidyRules]
    clock: Callable[[], int]
    new_id: Callable[[], str]

    def close(self) -> None:
        """Write what was accepted, stop our threads and let go of the store."""
        self.submissions.close()
        self.bell.close()
        self.providers.close()
        self.store.close()


def make_services(
    settings: Settings,
    store: Store,
    objects: Objects,
    *,
    rules: Rules | None = None,
    programmes: Mapping[str, SubsidyRules] | None = None,
    clock: Callable[[], int] = now_ms,
    new_id: Callable[[], str] = new_ulid,
) -> Services:
    """Return services over a store and an object store that are open already."""
    meters = Meters()
    return Services(
        settings=settings,
        store=store,
        objects=objects,
        vault=Vault.open(settings.vault_key),
        bell=Bell(store.pulse, marks=SummonsSoFar(store)),
        submissions=Submissions(store, clock, settings.submissions_waiting_max, meters.group),
        pools=Pools(store),
        logs=LogBook(objects, settings.log_bytes_max),
        principals=Principals(people.resolver(store)),
        lockout=Lockout(),
        providers=Providers(),
        meters=meters,
        rules=rules or Rules(),
        programmes=programmes or {},
        clock=clock,
        new_id=new_id,
    )


def open_services(
    settings: Settings,
    rules: Rules | None = None,
    programmes: Mapping[str, SubsidyRules] | None = None,
) -> Services:
    """Open all that the settings name; folders are made where they are missing."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return make_services(
        settings,
        open_store(settings.database_url, settings.zone),
        open_objects(settings.objects_url),
        rules=rules,
        programmes=programmes,
    )


def bootstrap(services: Services, password: str | None = None) -> tuple[Person, str]:
    """Make the first operator (`admin` of `operator`) unless there; return it and a fresh token."""
    author = Author("platform", services.clock(), reason="the first operator")
    person, grant = people.bootstrap(
        audited(services.store, lambda _: author), password, now_ms=services.clock(), new_id=services.new_id
    )
    return person, grant.secret
