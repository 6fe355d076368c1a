"""The Lambda layer with the SageMaker SDK, built without Docker."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.source import ROOT, bundling

FOLDER = ROOT / "layers" / "sagemaker_sdk"


class SdkLayer(Construct):
    """A layer with SageMaker SDK, Powertools and pydantic, pinned in ``layers/sagemaker_sdk``."""

    def __init__(self, scope: Construct, id_: str, *, python_version: str) -> None:
        super().__init__(scope, id_)
        build = build_module()
        runtime = lambda_.Runtime(f"python{python_version}", lambda_.RuntimeFamily.PYTHON)
        self.layer = lambda_.LayerVersion(
            self,
            "Layer",
            description=f"SageMaker SDK for python{python_version} on x86_64",
            compatible_runtimes=[runtime],
            compatible_architectures=[lambda_.Architecture.X86_64],
            code=lambda_.Code.from_asset(
                str(FOLDER),
                asset_hash=build.fingerprint("x86_64", python_version),
                asset_hash_type=cdk.AssetHashType.CUSTOM,
                bundling=bundling(
                    lambda out: build.build_archive(out, "x86_64", python_version),
                    cdk.BundlingOutput.ARCHIVED,
                ),
            ),
        )


def build_module() -> ModuleType:
    """Load ``build.py``, which is a standalone script outside any package."""
    spec = importlib.util.spec_from_file_location("layer_build", FOLDER / "build.py")
    assert spec is not None  # noqa: S101  the file is part of the project
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
