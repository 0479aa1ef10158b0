from __future__ import annotations

import pytest

from muniment.server.ports.blobs import Blobs
from muniment.server.ports.clock import FixedClock
from muniment.server.ports.db import Database
from muniment.server.ports.keys import Keys
from tests.support.ledger import Log


@pytest.fixture
def log(db: Database, blobs: Blobs, keys: Keys, clock: FixedClock) -> Log:
    return Log(db, blobs, keys, clock)
