"""Names that are unknown or used, jobs that have ended, tags, lists and searches.

Each test names the page of the API reference, or the client or issue, that it follows.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.conformance_requests import TRAINING, TUNING, base_of, new_name
from tests.support.conformance_service import Answer, Service

TUNED, TRAINED = "HyperParameterTuningJobName", "TrainingJobName"
NO_TRAINING_JOB = ("ValidationException", "Requested resource not found")


def created(service: Service, operation: str, **more: Any) -> str:
    request = base_of(operation) | more
    answer = service.call(operation, request)
    assert not answer.code, answer
    return str(request[TUNED if operation == TUNING else TRAINED])


def ended(service: Service, operation: str, name: str) -> dict[str, Any]:
    """Stop a job, wait for its end and return its description."""
    kind = "HyperParameterTuningJob" if operation == TUNING else "TrainingJob"
    service.call(f"Stop{kind}", {f"{kind}Name": name})
    for _ in range(100_000):
        body = service.call(f"Describe{kind}", {f"{kind}Name": name}).body
        if body[f"{kind}Status"] not in ("InProgress", "Stopping"):
            return body
        time.sleep(service.pause)
    raise AssertionError(f"{name} has not ended")


# Sources: API_DescribeHyperParameterTuningJob.html for the code, fixtures/aws_answers.yaml for
# the words. Training jobs have a code and words of their own, which public clients of AWS match.
@pytest.mark.parametrize(
    ("operation", "field", "code", "says"),
    [
        ("DescribeHyperParameterTuningJob", TUNED, "ResourceNotFound", "tuning job called nobody"),
        ("StopHyperParameterTuningJob", TUNED, "ResourceNotFound", "tuning job called nobody"),
        ("ListTrainingJobsForHyperParameterTuningJob", TUNED, "ResourceNotFound", "nobody"),
        ("DescribeTrainingJob", TRAINED, *NO_TRAINING_JOB),
        ("StopTrainingJob", TRAINED, *NO_TRAINING_JOB),
    ],
)
def test_an_unknown_name(
    service: Service, operation: str, field: str, code: str, says: str
) -> None:
    answer = service.call(operation, {field: "nobody"})
    assert answer.code == code
    assert says in answer.message


# Source: API_CreateHyperParameterTuningJob.html: names are unique ignoring case in an account and
# Region, also after the job has ended.
@pytest.mark.parametrize("operation", [TUNING, TRAINING])
def test_a_used_name(service: Service, operation: str) -> None:
    name = created(service, operation)
    field = TUNED if operation == TUNING else TRAINED
    for again in (name, name.upper()):
        answer = service.call(operation, base_of(operation) | {field: again})
        assert answer.code == "ResourceInUse"
        assert "already exists" in answer.message


# Source: API_StopTrainingJob.html; the words are those that public clients of AWS match.
def test_a_training_job_that_has_ended_cannot_be_stopped(service: Service) -> None:
    name = created(service, TRAINING)
    status = ended(service, TRAINING, name)["TrainingJobStatus"]
    answer = service.call("StopTrainingJob", {TRAINED: name})
    words = f"The request was rejected because the training job is in status {status}"
    assert (answer.code, answer.message.rstrip(".")) == ("ValidationException", words)


# Source: SDK 2, HyperparameterTuner.stop_tuning_job, which expects a ValidationException.
def test_a_tuning_job_that_has_ended_cannot_be_stopped(service: Service) -> None:
    name = created(service, TUNING)
    ended(service, TUNING, name)
    answer = service.call("StopHyperParameterTuningJob", {TUNED: name})
    assert answer.code == "ValidationException"


# Source: API_DeleteHyperParameterTuningJob.html: "You cannot delete a tuning job that is running".
def test_a_tuning_job_is_deleted_after_its_end(service: Service) -> None:
    request = base_of(TUNING)
    request["TrainingJobDefinition"]["StaticHyperParameters"]["hold"] = ""
    assert not service.call(TUNING, request).code
    name = {TUNED: request[TUNED]}
    answer = service.call("DeleteHyperParameterTuningJob", name)
    assert answer.code == "ValidationException"
    ended(service, TUNING, request[TUNED])
    assert not service.call("DeleteHyperParameterTuningJob", name).code


# Source: API_AddTags.html, API_DeleteTags.html and API_ListTags.html.
@pytest.mark.parametrize("operation", [TUNING, TRAINING])
def test_tags(service: Service, operation: str) -> None:
    kind = "HyperParameterTuningJob" if operation == TUNING else "TrainingJob"
    name = created(service, operation, Tags=[{"Key": "a", "Value": "1"}])
    arn = service.call(f"Describe{kind}", {f"{kind}Name": name}).body[f"{kind}Arn"]

    def tags() -> dict[str, str]:
        body = service.call("ListTags", {"ResourceArn": arn}).body
        return {each["Key"]: each["Value"] for each in body["Tags"]}

    assert tags() == {"a": "1"}
    added = {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]}
    assert not service.call("AddTags", added).code
    assert tags() == {"a": "2", "b": ""}
    service.call("DeleteTags", {"ResourceArn": arn, "TagKeys": ["a"]})
    assert tags() == {"b": ""}


# Source: API_CreateHyperParameterTuningJob.html: "Tags that you specify for the tuning job are also
# added to all training jobs that the tuning job launches."
def test_tags_of_a_tuning_job_are_those_of_its_training_jobs(service: Service) -> None:
    tag = {"Key": "color", "Value": "blue"}
    name = created(service, TUNING, Tags=[tag])
    listed = service.call("ListTrainingJobsForHyperParameterTuningJob", {TUNED: name})
    arn = listed.body["TrainingJobSummaries"][0]["TrainingJobArn"]
    assert service.call("ListTags", {"ResourceArn": arn}).body["Tags"] == [tag]


LISTS = {
    "ListHyperParameterTuningJobs": (TUNING, "HyperParameterTuningJobSummaries", TUNED),
    "ListTrainingJobs": (TRAINING, "TrainingJobSummaries", TRAINED),
}


# Sources: API_ListHyperParameterTuningJobs.html and API_ListTrainingJobs.html.
@pytest.mark.parametrize("operation", LISTS)
def test_lists_are_paged_and_sorted(service: Service, operation: str) -> None:
    create, field, name_field = LISTS[operation]
    part = new_name()
    names = [f"{part}-{letter}" for letter in "bca"]
    for name in names:
        created(service, create, **{name_field: name})

    def listed(**filters: Any) -> list[str]:
        found, token = [], {}
        while True:
            request = {"NameContains": part, "MaxResults": 2, **filters, **token}
            body = service.call(operation, request).body
            found += [each[name_field] for each in body[field]]
            if "NextToken" not in body:
                return found
            token = {"NextToken": body["NextToken"]}

    assert listed(SortBy="Name", SortOrder="Ascending") == sorted(names)
    assert listed(SortBy="Name", SortOrder="Descending") == sorted(names, reverse=True)
    assert listed(SortBy="CreationTime", SortOrder="Ascending") == names
    assert listed(CreationTimeAfter=4_000_000_000) == []
    assert len(listed(CreationTimeBefore=4_000_000_000)) == 3
    assert listed(StatusEquals="Deleting" if create == TUNING else "Stopping") == []


@pytest.mark.parametrize("operation", LISTS)
@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("MaxResults", 0), ("MaxResults", 101), ("SortBy", "Color"), ("SortOrder", "Random"),
        ("StatusEquals", "Running"), ("NameContains", "a b"), ("NextToken", "not a token"),
        ("NameContains", "a" * 64),
    ],
)  # fmt: skip
def test_a_list_refuses_wrong_parameters(
    service: Service, operation: str, wrong: str, value: Any
) -> None:
    assert service.call(operation, {wrong: value}).code == "ValidationException"


def search(service: Service, resource: str, *filters: dict[str, str], **more: Any) -> Answer:
    request = {"Resource": resource, "SearchExpression": {"Filters": list(filters)}, **more}
    return service.call("Search", request)


# Source: API_Search.html and API_Filter.html.
@pytest.mark.parametrize(
    ("resource", "operation"),
    [("TrainingJob", TRAINING), ("HyperParameterTuningJob", TUNING)],
)
@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("Equals", "{tag}", True), ("Equals", "other", False), ("NotEquals", "other", True),
        ("Contains", "nform", True), ("Exists", None, True), ("NotExists", None, False),
        ("In", "x,{tag}", True),
    ],
)  # fmt: skip
def test_search_finds_jobs_by_their_tags(
    service: Service, resource: str, operation: str, operator: str, value: str, *, found: bool
) -> None:
    tag = new_name()
    name = created(service, operation, Tags=[{"Key": "conformance", "Value": tag}])
    by_tag = {"Name": "Tags.conformance", "Operator": operator}
    if value is not None:
        by_tag["Value"] = value.format(tag=tag)
    by_name = {"Name": f"{resource}Name", "Operator": "Equals", "Value": name}
    results = search(service, resource, by_name, by_tag).body["Results"]
    assert [each[resource][f"{resource}Name"] for each in results] == [name] * found


@pytest.mark.parametrize(
    "wrong",
    [
        {"Name": "Color", "Operator": "Equals", "Value": "blue"},
        {"Name": "TrainingJobName", "Operator": "Resembles", "Value": "a"},
        {"Name": "TrainingJobName", "Operator": "Equals"},
        {"Operator": "Equals", "Value": "a"},
    ],
)
def test_search_refuses_a_wrong_filter(service: Service, wrong: dict[str, str]) -> None:
    assert search(service, "TrainingJob", wrong).code == "ValidationException"
