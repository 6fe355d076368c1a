"""The names that follow from a deployment, a team or a request."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from hpo_dispatcher.contract import names

# A team and a deployment of the greatest lengths that the settings allow.
LONGEST_TEAM, LONGEST_DEPLOYMENT = "t" * 20, "d" * 30


def test_a_workspace_is_a_folder_that_no_other_team_s_folder_begins_with():
    assert names.workspace_prefix("fraud") == "teams/fraud/"
    assert not names.workspace_prefix("fraud-eu").startswith(names.workspace_prefix("fraud"))


def test_a_training_role_has_a_name_that_iam_accepts():
    """IAM's API reference, CreateRole: at most 64 characters of [\\w+=,.@-]."""
    name = names.training_role(LONGEST_DEPLOYMENT, LONGEST_TEAM)
    assert re.fullmatch(r"[\w+=,.@-]{1,64}", name)
    assert names.training_role("hpoq", "fraud") == "hpoq-fraud-training"


# Few letters, so that names often begin with others.
TEAM_NAMES = st.from_regex(r"[ab][ab-]{0,5}|[ab][ab-]{17}[ab-]{2}", fullmatch=True)
REQUEST_IDS = st.from_regex(r"[ab_-]{1,30}", fullmatch=True)


@given(st.sets(TEAM_NAMES, min_size=1, max_size=4), REQUEST_IDS, st.integers(0, 5))
@example({"a", "a-b"}, "b-x", 0)
@example({"a--b", "a-b-a"}, "a", 0)
@example({"a", "a" + "-b" * 9}, "-".join("b" * 9), 5)
def test_the_prefixes_of_policies_match_the_tuning_jobs_of_one_team_only(
    given_teams: set[str], request_id: str, before: int
) -> None:
    """Synthesis rejects teams of equal prefixes, intake the names that another team claims."""
    teams = {names.tuning_job_prefix(each): each for each in sorted(given_teams)}.values()
    for team in teams:
        stream = f"{names.tuning_job_name(team, request_id, before)}-001-0a1b2c3d/algo-1"
        readers = [
            each
            for each in teams
            if stream.startswith(names.tuning_job_prefix(each))
            and not stream.startswith(tuple(names.longer_prefixes(each, teams)))
        ]
        claimed = names.claimed_by(team, request_id, teams)
        assert (readers == [team]) is (claimed is None)
