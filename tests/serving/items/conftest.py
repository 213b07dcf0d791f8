"""A shop whose items change: three workers over a bundle beside which nothing was merged yet."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from serving.bundle import Bundle, open_bundle
from tests.serving.items.changing_shop import Shop, forget_merges


@pytest.fixture(scope="module")
def opened(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("served") / "bundle"
    shutil.copytree(trained.bundle, path)
    return open_bundle(path)


@pytest.fixture
def bundle(opened: Bundle) -> Iterator[Bundle]:
    """A bundle beside which nothing was merged."""
    yield opened
    forget_merges(opened)


@pytest.fixture
def shop(bundle: Bundle) -> Iterator[Shop]:
    made = Shop(bundle)
    yield made
    made.close()
