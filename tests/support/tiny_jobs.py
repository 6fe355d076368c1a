"""A deployment whose training jobs take milliseconds, for tests with many training jobs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hpoq.local.cloud import Cloud
from tests.support.deployed_stack import ROOT, Deployed

SCRIPT = '''"""Print a score that depends on lr alone."""
import argparse, math
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seconds", type=float, default=0)
parser.add_argument("--spread", type=float, default=0)
arguments = parser.parse_args()
if arguments.seconds:
    import random, time
    location = -arguments.spread * arguments.spread / 2
    drawn = random.Random(arguments.lr).lognormvariate(location, arguments.spread)
    time.sleep(arguments.seconds * drawn)
print(f"score={-abs(math.log10(arguments.lr) + 2):.6f}")
'''

TEMPLATE = """description: A script of a few milliseconds.
image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/tiny:1
entry_point: tiny.py
request:
  objective: {metric: score, type: Maximize}
  strategy: Random
  resource_limits: {max_training_jobs: 1, max_parallel_training_jobs: 1}
tuning_job:
  TrainingJobDefinition:
    AlgorithmSpecification:
      MetricDefinitions: [{Name: score, Regex: "score=([-0-9.]+)"}]
    ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 1, VolumeSizeInGB: 1}
    StoppingCondition: {MaxRuntimeInSeconds: 600}
"""


RAY = ("script_search", "ray_tune", "credit_default", "train_ray_script.py")


def deploy(
    cloud: Cloud, name: str, folder: Path, *, ray: bool = False, **context: object
) -> Deployed:
    """Deploy the project with an additional template and training script.

    The template is among the bundled ones, or in a folder of its own if the settings name one. With
    ``ray``, the bundled search of any script is deployed, too.
    """
    project = folder / name
    for part in ("infra", "lambdas", "layers"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("app.py", "cdk.json"):
        shutil.copy(ROOT / file, project / file)
    if (ROOT / "node_modules").exists():
        (project / "node_modules").symlink_to(ROOT / "node_modules")
    (project / "training").mkdir()
    (project / "training" / "tiny.py").write_text(SCRIPT)
    for part in RAY if ray else ():
        source, copy = ROOT / "training" / part, project / "training" / part
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    templates = project / str(context.get("templates", "lambdas/hpo_dispatcher/templates"))
    templates.mkdir(exist_ok=True)
    (templates / "tiny.yaml").write_text(TEMPLATE)
    settings = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in context.items()
    }
    outputs = cloud.deploy({"name": name, "default_template": "tiny", **settings}, app=project)
    return Deployed(cloud, outputs)
