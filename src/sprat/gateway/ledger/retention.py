"""Deletes what is kept no longer, in small steps, so that nothing waits long for the database."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..promise import evidence
from . import schema

STEP = 500  # rows that are deleted in one transaction


def delete_older(engine: Engine, cut: float, limit: int = STEP) -> int:
    """Delete at most `limit` exchanges from before `cut`, with their prompts and labels; how many there were."""
    table = schema.exchanges
    with schema.writing(engine) as connection:
        asked = sa.select(table.c.id).where(table.c.at < cut).order_by(table.c.at).limit(limit)
        ids = list(connection.execute(asked).scalars())
        for column in (schema.prompts.c.id, schema.labels.c.exchange, table.c.id) if ids else ():
            connection.execute(sa.delete(column.table).where(column.in_(ids)))
        evidence.forget(connection, cut)
        if ids:  # what the watch has counted is in its state; what it has not, it still needs
            old = schema.evidence.c
            connection.execute(sa.delete(old.id.table).where(old.exchange.in_(ids), old.folded == 1))
    return len(ids)
