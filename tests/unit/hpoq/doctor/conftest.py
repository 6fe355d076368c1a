from __future__ import annotations

import boto3
import pytest

from hpoq.doctor.examined import Examined


@pytest.fixture
def examined() -> Examined:
    session = boto3.Session("key", "secret", region_name="eu-west-1")
    return Examined(deployment="hpoq", session=session)
