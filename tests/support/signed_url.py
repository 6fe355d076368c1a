"""A URL that carries credentials."""

from __future__ import annotations

V4 = (
    "https://bucket.s3.eu-central-1.amazonaws.com/models/m.tar.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAEXAMPLE%2F20261123%2Feu-central-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261123T120000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
    "&X-Amz-Security-Token=FwoGZXIvYXdzEDoaDN&X-Amz-Signature=deadbeefcafe0123"
)
