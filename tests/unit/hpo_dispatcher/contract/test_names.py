"""The names that follow from a deployment, a team or a request."""

import re

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
