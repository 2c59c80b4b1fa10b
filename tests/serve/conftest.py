"""One server for all tests of a module that do not change what it serves; its toy model ends with it."""

from collections.abc import Iterator

import pytest

from tests.serve.world import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as server:
        yield server
