"""What a caller keeps: one entry of the log with all it takes to check it without us."""

from __future__ import annotations

from muniment.core.entry import envelope, payload_bytes, record_statement

__all__ = ["envelope", "payload_bytes", "record_statement"]
