"""Protobuf records in RecordIO, encoded by the schema of SageMaker's training toolkit.

The framing is that of ``sagemaker.amazon.common`` in version 2 of the SDK, ``_write_recordio``.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from sagemaker_training.record_pb2 import Record

MAGIC = 0xCED7230A


def encoded(features: Any, labels: Any = None, *, sparse: bool = False) -> bytes:
    """Return one record for each row of features, with its label if there are labels."""
    content = b""
    for number, dense in enumerate(np.asarray(features, dtype=np.float32)):
        record = Record()
        tensor = record.features["values"].float32_tensor
        (keys,) = np.nonzero(dense)
        if sparse:
            tensor.keys.extend(keys.tolist())
            tensor.shape.extend([len(dense)])
        tensor.values.extend((dense[keys] if sparse else dense).tolist())
        if labels is not None:
            record.label["values"].float32_tensor.values.extend([float(labels[number])])
        data = record.SerializeToString()
        padding = b"\0" * (-len(data) % 4)
        content += struct.pack("<II", MAGIC, len(data)) + data + padding
    return content
