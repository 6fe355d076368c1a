"""The CDK constructs that `cdk deploy` creates."""
