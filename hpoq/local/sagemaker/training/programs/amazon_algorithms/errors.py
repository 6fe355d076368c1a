"""The error of a request or of its data."""


class ClientFault(Exception):
    """An error in the request or the data, which SageMaker reports as a ClientError."""
