"""The service under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.conformance_service import Service, conforming_service, moto_service


@pytest.fixture(scope="module")  # training processes are replaced as long as it lives
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with conforming_service(tmp_path_factory.mktemp("conformance")) as made:
        yield made


@pytest.fixture
def moto() -> Iterator[Service]:
    with moto_service() as made:
        yield made
