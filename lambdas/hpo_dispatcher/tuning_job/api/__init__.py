"""The API form of a request: its fields, and the schema that botocore has for them."""
