"""The ports on AWS; the only boto3 in the dispatcher."""
