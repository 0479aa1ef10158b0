"""Approvals over HTTP: parse, call one action or read, render."""

from __future__ import annotations

from muniment.server.http.operation import Operation

OPERATIONS: list[Operation] = []
