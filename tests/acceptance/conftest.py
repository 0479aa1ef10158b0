"""Acceptance tests leave the home of whoever runs them alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def home_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the SDK remembers of credentials and uploads goes into a directory of the session's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUNIMENT_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.setenv("MUNIMENT_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
