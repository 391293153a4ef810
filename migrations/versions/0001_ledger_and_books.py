"""The ledger, the clearing's results and the books."""

import sqlalchemy as sa
from alembic import op
from settlement.store.database import WRITTEN_ONCE, metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, keep blobs uncompressed out of line, and forbid rewriting what is written once."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for table, column in (("body", "taps"), ("codes", "codes"), ("cleared_tick", "journey_block"), ("cleared_tick", "share_block")):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.execute(
        """
        CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are written once: post a correction instead', TG_TABLE_NAME;
        END $$
        """
    )
    for table in WRITTEN_ONCE:
        op.execute(
            f'CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )
    op.execute(sa.text("INSERT INTO clearing_head (id, to_index) VALUES (1, 0)"))


def downgrade() -> None:
    """Drop everything: only an empty house may go back before its first version."""
    metadata.drop_all(op.get_bind())
    op.execute("DROP FUNCTION refuse_rewriting()")
