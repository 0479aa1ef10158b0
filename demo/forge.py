"""What somebody with access to the disk or the database could do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import asyncpg

from muniment.server.ports.embedded_postgres import attach_or_start


def flip_byte(data: Path, original: Path) -> Path:
    """Flip one bit in the stored copy of `original`; return the file."""
    name = hashlib.sha256(original.read_bytes()).hexdigest()
    stored = next((data / "blobs").rglob(name))
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(content)
    return stored


async def change_row(data: Path) -> None:
    """Improve the metrics of the model, as a superuser who switched the triggers off."""
    with attach_or_start(data) as postgres:
        connection = await asyncpg.connect(postgres.url_of("muniment", "postgres"))
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(
                "UPDATE version SET metrics_at_registration ="
                " jsonb_set(metrics_at_registration, '{roc_auc}', '0.9999')"
                " WHERE metrics_at_registration ? 'roc_auc'"
            )
        finally:
            await connection.close()
