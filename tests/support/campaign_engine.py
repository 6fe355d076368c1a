"""The local SageMaker endpoint for campaigns: real searches, real training processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from tests.support.memory_endpoint import MemoryPorts, archive, bare_interpreter, client_of

SCRIPT = """
import argparse, math, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
lr = parser.parse_args().lr
if lr > 0.9:
    sys.exit("too hot")
auc = 1 - (math.log10(lr) + 1.5) ** 2 / 10
for epoch in (3, 2, 1):
    print(f"auc={auc / epoch:.6f} latency={100 * lr / epoch:.6f}")
"""
# Does what training/train_ray_script.py does, without Ray.
RAY_SCRIPT = """
import argparse, json, math, os, pathlib, random, time
parser = argparse.ArgumentParser()
names = "script space metrics objective direction fixed trials algorithm trials-per-host"
for name in (*names.split(), "search-seed", "scheduler", "_tuning_objective_metric"):
    parser.add_argument("--" + name)
parser.add_argument("--points", default="[]")
parser.add_argument("--repeats", default="{}")
args = parser.parse_args()
(name, each), *_ = json.loads(args.space).items()
(seeds,) = json.loads(args.repeats).items() or [("", [None])]
given = [dict(point, **({seeds[0]: seed} if seeds[0] else {}))
         for point in json.loads(args.points) for seed in seeds[1]]
draws = random.Random(args.search_seed)
folder = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"])
folder.mkdir(parents=True, exist_ok=True)
best = 0
with (folder / "trials.jsonl").open("w") as record:
    print(json.dumps({"identity": "x"}), file=record)
    for number in range(1, int(args.trials) + 1):
        value = math.exp(draws.uniform(math.log(each["min"]), math.log(each["max"])))
        point = given[number - 1] if number <= len(given) else {name: repr(value)}
        value = float(point[name])
        failed = value > 0.9
        auc = None if failed else 1 - (math.log10(value) + 1.5) ** 2 / 10
        row = {"number": number, "hyperparameters": {n: str(v) for n, v in point.items()},
               "status": "Failed" if failed else "Stopped" if number % 2 else "Completed",
               "objective": auc, "metrics": {"latency": 100 * value},
               "started": time.time(), "ended": time.time() + 1,
               "reason": "too hot" if failed else ""}
        print(json.dumps(row), file=record)
        best = max(best, auc or 0)
if args.algorithm == "optuna" and json.loads(args.fixed).get("crash"):
    raise SystemExit("out of memory")
print(f"auc={best:.6f}")
"""
TEMPLATE = {
    "description": "A training job of milliseconds.",
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tiny:1",
    "entry_point": "train.py",
    "tuning_job": {
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "MetricDefinitions": [
                    {"Name": "auc", "Regex": "auc=([-0-9.]+)"},
                    {"Name": "latency", "Regex": "latency=([0-9.]+)"},
                ]
            },
            "ResourceConfig": {
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1
            },
        }
    },
}  # fmt: skip


class Calls:
    """The names of the operations that a client was asked to call."""

    def __init__(self, client: Any) -> None:
        self.names: list[str] = []
        client.meta.events.register("before-call.sagemaker", self._note)

    def _note(self, model: Any, **_: Any) -> None:
        self.names.append(model.name)


class Engine:
    """An endpoint that runs ``SCRIPT`` as its training script."""

    def __init__(self, folder: Path, **quotas: Any) -> None:
        memory = MemoryPorts()
        files = {"train.py": SCRIPT, "train_ray_script.py": RAY_SCRIPT}
        memory.stored["bucket", "source.tar.gz"] = archive(files)
        self.memory = memory
        settings = EngineSettings(
            region="eu-central-1", account="123456789012", interpreter=bare_interpreter(folder),
            quotas=AccountQuotas(**quotas), processes=4,
        )  # fmt: skip
        self.endpoint = SageMakerEndpoint(folder / "home", memory.ports(), settings)
        self.endpoint.start()

    def client(self) -> Any:
        """Return a SageMaker client of the endpoint."""
        return client_of(self.endpoint, boto3.Session("t", "t", region_name="eu-central-1"))
