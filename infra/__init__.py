"""The CDK application: what `cdk deploy` creates."""
