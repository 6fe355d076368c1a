"""Training images as the SageMaker SDK names them."""

from __future__ import annotations

import json

import pytest

from hpo_dispatcher.aws.images import DOCUMENT, SdkImages, has_versions
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.templates import FrameworkImage

# Tags as image_uris.retrieve of the SageMaker SDK 3.27.0 returns them for these versions.
REGISTRY = "763104351884.dkr.ecr.eu-west-1.amazonaws.com"
NEURON = f"{REGISTRY}/pytorch-training-neuron:1.11.0-neuron-py38-sdk2.4.0-ubuntu20.04"


class Memory:
    """The documents of a deployment, in memory."""

    def __init__(self, **documents: str) -> None:
        self.documents = documents

    def get(self, name: str) -> str | None:
        return self.documents.get(name)

    def put(self, name: str, content: str) -> None:
        self.documents[name] = content


def asked(framework: str, version: str, python: str | None = None) -> FrameworkImage:
    fields = {"framework": framework, "version": version, "py_version": python}
    return FrameworkImage.model_validate(fields)


@pytest.mark.parametrize(
    ("image", "tag", "found"),
    [
        (asked("pytorch", "2.10.0", "py313"), "pytorch-training:2.10.0-gpu-py313", True),
        (asked("pytorch", "2.10.0"), "pytorch-training:2.10.0-gpu-py313", True),
        (asked("pytorch", "2.10"), "pytorch-training:2.10.0-gpu-py313", True),
        (asked("pytorch", "2.1"), "pytorch-training:2.10.0-gpu-py313", False),
        (asked("pytorch", "2.10.0", "py312"), "pytorch-training:2.10.0-gpu-py313", False),
        (asked("pytorch", "2.10.0"), "pytorch-training-neuron:1.11.0-neuron-py38-sdk2.4.0", False),
        (asked("pytorch", "1.11", "py38"), "pytorch-training-neuron:1.11-neuron-py38-sdk2", True),
        (asked("sklearn", "1.2-1", "py3"), "sagemaker-scikit-learn:1.2-1-cpu-py3", True),
        (asked("sklearn", "1.2-1"), "sagemaker-scikit-learn:1.0-1-arm64-cpu-py3", False),
        (asked("xgboost", "1.7-1", "py3"), "sagemaker-xgboost:1.7-1", True),
        (asked("huggingface", "4.49.0", "py311"),
         "huggingface-pytorch-training:2.5.1-transformers4.49.0-gpu-py311-cu124-ubuntu22.04", True),
        (asked("huggingface", "4.48.0"),
         "huggingface-pytorch-training:2.5.1-transformers4.49.0-gpu-py311-cu124-ubuntu22.04",
         False),
    ],
)  # fmt: skip
def test_an_image_with_other_versions_is_told_apart(
    image: FrameworkImage, tag: str, *, found: bool
) -> None:
    assert has_versions(f"{REGISTRY}/{tag}", image) is found


@pytest.mark.parametrize("instance_type", ["ml.trn1.2xlarge", "ml.trn2.48xlarge"])
@pytest.mark.parametrize("remembered", [False, True])
def test_an_accelerator_whose_only_image_has_other_versions_has_none(
    instance_type: str, *, remembered: bool
) -> None:
    family = instance_type.rpartition(".")[0]
    known = json.dumps({f"pytorch/2.10.0//{family}": NEURON})  # as earlier versions wrote it
    documents = Memory(**{DOCUMENT: known} if remembered else {})
    with pytest.raises(InvalidSettings, match=r"knows only pytorch-training-neuron:1\.11\.0"):
        SdkImages("eu-west-1", documents).uri(asked("pytorch", "2.10.0"), instance_type)


@pytest.mark.parametrize(
    ("instance_type", "processor"), [("ml.m5.large", "cpu"), ("ml.g5.xlarge", "gpu")]
)
def test_an_image_is_looked_up_once(instance_type: str, processor: str) -> None:
    documents = Memory()
    found = SdkImages("eu-west-1", documents).uri(
        asked("pytorch", "2.10.0", "py313"), instance_type
    )
    assert found == f"{REGISTRY}/pytorch-training:2.10.0-{processor}-py313"
    assert found in documents.documents[DOCUMENT]
