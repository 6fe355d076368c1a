"""The stack of one deployment: wiring and grants only."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from hpo_dispatcher.contract import names
from infra.dispatcher import DispatcherFunction
from infra.ledger import LedgerTable
from infra.monitoring import Monitoring
from infra.notices import Notices
from infra.replication import Replication, grant_comparison
from infra.request_queue import RequestQueue
from infra.settings import Settings, output_name
from infra.target_access import grant_targets
from infra.team_access import TeamAccess
from infra.training import TrainingResources
from infra.training_role import TrainingRole


class HpoStack(cdk.Stack):
    """The queues, the dispatcher, the ledger and the training resources of one deployment."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, **kwargs: Any) -> None:
        description = "hpoq: a queue for SageMaker tuning jobs"
        assets = f"{settings.name}/"
        synthesizer = cdk.DefaultStackSynthesizer(bucket_prefix=assets)
        super().__init__(scope, id_, description=description, synthesizer=synthesizer, **kwargs)
        arn = settings.kms_key_arn
        key = kms.Key.from_key_arn(self, "Key", arn) if arn else None
        ledger = LedgerTable(
            self, "Ledger", deployment=settings.name, key=key, retain=settings.retain_data
        )
        training = TrainingResources(self, "Training", settings=settings, assets=assets, key=key)
        dispatcher = DispatcherFunction(
            self,
            "Dispatcher",
            settings=settings,
            key=key,
            environment={
                "HPOQ_DEPLOYMENT": settings.name,
                "HPOQ_LEDGER_TABLE": ledger.table.table_name,
                "HPOQ_ARTIFACT_BUCKET": training.bucket.bucket_name,
                "HPOQ_TRAINING_ROLE_ARN": self.format_arn(
                    service="iam",
                    region="",
                    resource="role",
                    resource_name=names.training_role(settings.name, names.ANY_TEAM),
                ),
                "HPOQ_TRAINING_SOURCE": training.source.s3_object_url,
                "HPOQ_EVENT_BUS": "default",
            },
        )
        ledger.grant_dispatch(dispatcher.function)
        outputs = {
            "LedgerTableName": ledger.table.table_name,
            "ArtifactBucketName": training.bucket.bucket_name,
            "DispatcherFunctionName": dispatcher.function.function_name,
        }
        queues: dict[str, RequestQueue] = {}
        roles: list[iam.IRole] = []
        for team in settings.teams:
            title = output_name(team)
            queue = RequestQueue(
                self,
                f"Queue{title}",
                deployment=settings.name,
                team=team,
                key=key,
                retain=settings.retain_data,
            )
            queues[team] = queue
            queue.grant_intake(dispatcher.function)
            role = TrainingRole(
                self,
                f"Training{title}",
                deployment=settings.name,
                team=team,
                teams=settings.teams,
                bucket=training.bucket,
                base=training.base,
                rules=settings.rules_of(team),
            ).role
            roles.append(role)
            outputs[f"TrainingRoleArn{title}"] = role.role_arn
            notices = self._notices(settings, team, key)
            if notices:
                # An update deploys the function that names its deployment before the rule.
                notices.node.add_dependency(dispatcher.function)
                outputs[f"ChangeTopicArn{title}"] = notices.topic.topic_arn
            TeamAccess(
                self,
                f"Access{title}",
                settings=settings,
                team=team,
                queue=queue,
                ledger=ledger,
                bucket=training.bucket,
                notices=notices,
            )
            outputs[f"RequestQueueUrl{title}"] = queue.queue.queue_url
            outputs[f"DeadLetterQueueUrl{title}"] = queue.dead_letter_queue.queue_url
        dispatcher.grant_tuning(roles)
        grant_targets(dispatcher, settings.sites)
        if folders := settings.replicated_folders:
            Replication(self, "Replication", settings=settings, bucket=training.bucket, key=key)
            grant_comparison(dispatcher.role, training.bucket.bucket_arn, folders)
        dispatcher.grant_answers(settings.waiting_workflows)
        monitoring = Monitoring(
            self, "Monitoring", settings=settings, dispatcher=dispatcher, queues=queues, key=key
        )
        outputs["AlarmTopicArn"] = monitoring.topic.topic_arn
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)

    def _notices(self, settings: Settings, team: str, key: kms.IKey | None) -> Notices | None:
        wanted = settings.team(team)
        if not (wanted.notify or wanted.notify_emails):
            return None
        id_ = f"Notices{output_name(team)}"
        return Notices(self, id_, deployment=settings.name, team=team, settings=wanted, key=key)
