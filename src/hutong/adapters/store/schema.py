"""What all tables of the book are made of: their metadata, columns and indexes."""

import sqlalchemy as sa

# Ids sort by bytes everywhere: a keyset cursor must mean the same on every database.
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text_of(
    name: str,
    *rest: sa.schema.SchemaItem,
    key: bool = False,
    null: bool = False,
    default: str | None = None,
) -> sa.Column[str]:
    """Return a column of text."""
    return sa.Column(name, Text, *rest, primary_key=key, nullable=null, server_default=default)


def int_of(name: str, *, key: bool = False, null: bool = False) -> sa.Column[int]:
    """Return a column of 64-bit integers."""
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=null)


def index_of(
    name: str, *columns: str | sa.ColumnElement[int], where: str = "", unique: bool = False
) -> sa.Index:
    """Return an index, partial where `where` says so in the words of SQL."""
    clause = sa.text(where) if where else None
    return sa.Index(name, *columns, unique=unique, sqlite_where=clause, postgresql_where=clause)
