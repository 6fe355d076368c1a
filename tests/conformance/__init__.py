"""What SageMaker's API does with tuning and training jobs, checked against any implementation.

    python -m pytest tests/conformance                          # the embedded cloud's endpoint
    HPOQ_CONFORMANCE=aws python -m pytest tests/conformance     # the account of the credentials

Each check names its source: a page of the API reference or the developer guide, a public issue or
a client that relies on the behavior. ``moto`` is a second opinion where it has the operation; the
checks with which it disagrees are listed in ``test_second_opinion.py``.

On AWS, set HPOQ_CONFORMANCE_BUCKET (with the objects ``data/train/rows.csv`` and
``source.tar.gz``), HPOQ_CONFORMANCE_ROLE and HPOQ_CONFORMANCE_IMAGE (of scikit-learn, for example),
and the Region of the images in built_in_algorithms.yaml. What names a key, subnet or security
group is skipped there. Refused requests are free. Each job that is accepted is stopped at once; at
most a minute of ml.m5.large is billed for it, about 0.002 USD. The whole suite costs below 1 USD.
"""
