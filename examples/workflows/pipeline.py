"""Create a SageMaker pipeline that tunes in the queue of a team, and start it.

    python examples/workflows/pipeline.py TEAM ROLE_ARN

ROLE_ARN is the role of the pipeline, which needs sqs:SendMessage on the team's request queue. The
deployment needs the setting "workflows": {"pipelines": ["credit-tuning"]}.
"""

import json
import sys

import boto3

NAME = "credit-tuning"
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1, "scaling": "Logarithmic"}}
# What the dispatcher answers. Later steps read them as Steps.Tune.OutputParameters['model_uri'].
OUTPUTS = {
    "team": "String",
    "request_id": "String",
    "tuning_job_name": "String",
    "best_training_job": "String",
    "objective_metric": "String",
    "objective_value": "Float",
    "model_uri": "String",
}


def definition(queue_url: str) -> dict:
    """Return the pipeline, as CallbackStep of the SageMaker SDK defines it."""
    return {
        "Version": "2020-12-01",
        "Parameters": [
            {"Name": "Template", "Type": "String", "DefaultValue": "smoke"},
            {"Name": "Ranges", "Type": "String", "DefaultValue": json.dumps(RANGES)},
        ],
        "Steps": [
            {
                "Name": "Tune",
                "Type": "Callback",
                "SqsQueueUrl": queue_url,
                "Arguments": {
                    "template": {"Get": "Parameters.Template"},
                    "hyperparameter_ranges": {"Get": "Parameters.Ranges"},
                },
                "OutputParameters": [
                    {"OutputName": name, "OutputType": kind} for name, kind in OUTPUTS.items()
                ],
            }
        ],
    }


def main(team: str, role_arn: str) -> None:
    """Create the pipeline and start it."""
    queue = boto3.client("sqs").get_queue_url(QueueName=f"hpoq-{team}-requests")["QueueUrl"]
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName=NAME, PipelineDefinition=json.dumps(definition(queue)), RoleArn=role_arn
    )
    print(sagemaker.start_pipeline_execution(PipelineName=NAME)["PipelineExecutionArn"])


if __name__ == "__main__":
    main(*sys.argv[1:])
