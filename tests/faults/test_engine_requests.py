"""No request keeps a job from ending or the engine from starting again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine_scene import KINDS, EngineScene, engine_scene
from tests.support.fuzzed_requests import fuzzed

NUMBERS = count()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineScene]:
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch, engine_scene(folder, patch) as made:
        yield made


# benchmarks/local_engine.py sends 10,000 requests.
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_request_is_answered_and_its_job_ends_also_after_a_restart(
    scene: EngineScene, data: st.DataObject
) -> None:
    operation, body = fuzzed(
        f"job-{next(NUMBERS)}", lambda options: data.draw(st.sampled_from(options))
    )
    status, answer = scene.send(operation, body)
    assert status in (200, 400), (answer, body)
    scene.restart()
    assert scene.failed_starts == 0
    if not scene.all_end(0.3):
        scene.stop_all()
        assert scene.all_end(10), scene.unfinished()


def test_every_job_of_unusual_requests_is_described(scene: EngineScene) -> None:
    for operation, kind in KINDS.items():
        for job in scene.jobs(operation):
            name: dict[str, Any] = {f"{kind}Name": job[f"{kind}Name"]}
            assert scene.ask(f"Describe{kind}", **name)[0] == 200
