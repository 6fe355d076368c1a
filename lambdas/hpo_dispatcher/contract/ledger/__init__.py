"""The rows of the ledger: what a client reads from its DynamoDB table."""
