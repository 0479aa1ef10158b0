"""What is remembered of uploads, while others forget theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from muniment.client.sessions import Memory


def test_forgetting_does_not_mind_what_vanishes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_STATE_HOME", str(tmp_path))
    memory = Memory("http://registry.test", "fraud@1.0.0", [tmp_path / "model"])
    memory.keep("an upload")
    gone = tmp_path / "uploads" / "another.json"
    gone.symlink_to(tmp_path / "nothing")  # listed, and not there when it is looked at
    memory.forget()
    assert memory.recall() is None
