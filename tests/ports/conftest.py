"""The ports that need a server of their own."""

from __future__ import annotations

from tests.support.s3 import s3

__all__ = ["s3"]
