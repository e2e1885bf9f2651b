"""Recordings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("take", sa.Text, nullable=False, unique=True),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("end_reason", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("last_words", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("audio_type", sa.Text),
        sa.Column("audio_offset", sa.BigInteger, nullable=False),
        sa.Column("audio_bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("recordings_order", "recordings", ["started_at", "id"])
    op.create_index("recordings_call_id", "recordings", ["call_id"])
