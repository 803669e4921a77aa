from collections.abc import Iterator
from pathlib import Path

import pytest

from models.records.records import Records


@pytest.fixture
def records(inglenook_home: Path) -> Iterator[Records]:
    opened = Records(inglenook_home)
    yield opened
    opened.close()
