"""The SQL store, put together: one implementation for SQLite and PostgreSQL."""

from hutong.adapters.store.arrays import Arrays
from hutong.adapters.store.audit import Audit
from hutong.adapters.store.budgets import Budgets
from hutong.adapters.store.chain import Chain
from hutong.adapters.store.combining import Combiner
from hutong.adapters.store.db import Database
from hutong.adapters.store.energy import Energy
from hutong.adapters.store.intake import Intake
from hutong.adapters.store.jobs import Jobs
from hutong.adapters.store.ledger import Ledger
from hutong.adapters.store.loop import Loop
from hutong.adapters.store.metering import Metering
from hutong.adapters.store.periods import Periods
from hutong.adapters.store.readings import Readings
from hutong.adapters.store.registry import Registry
from hutong.adapters.store.rollups import Rollups
from hutong.adapters.store.sealed import Sealed
from hutong.adapters.store.sites import Sites
from hutong.adapters.store.statements import Statements
from hutong.adapters.store.uses import Uses


class SqlStore(
    Jobs,
    Arrays,
    Loop,
    Sites,
    Ledger,
    Periods,
    Statements,
    Intake,
    Metering,
    Uses,
    Rollups,
    Budgets,
    Readings,
    Energy,
    Audit,
    Chain,
    Registry,
    Sealed,
):
    """A `hutong.core.book.store.Store` over a database; safe to use from many threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._combiner = Combiner(self._post_each)

    def pulse(self) -> int:
        """Return a number that changes whenever anybody has written; cheap enough to ask every 20 ms."""
        return self._db.pulse()

    def close(self) -> None:
        """Let go of connections."""
        self._db.close()
