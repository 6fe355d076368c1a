"""Training images of a framework, from the SageMaker SDK."""

from __future__ import annotations

import json

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.templates import FrameworkImage
from hpo_dispatcher.ports import Documents

DOCUMENT = "images"


class SdkImages:
    """``Images`` from the SDK, each looked up once per deployment.

    Importing the SDK takes seconds, so it waits for an image that the ledger does not know.
    """

    def __init__(self, region: str, documents: Documents) -> None:
        self._region = region
        self._documents = documents
        self._known: dict[str, str] | None = None

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return the registry URI of a framework image for an instance type.

        Raises:
            InvalidSettings: the SDK knows no such image.
        """
        # The image differs by processor family, not by size: ml.g5.xlarge and ml.g5.2xlarge share.
        family = ".".join(instance_type.split(".")[:2])
        key = "/".join([image.framework, image.version, image.py_version or "", family])
        if self._known is None:
            self._known = json.loads(self._documents.get(DOCUMENT) or "{}")
        if key not in self._known:
            self._known[key] = self._look_up(image, instance_type)
            self._documents.put(DOCUMENT, json.dumps(self._known, sort_keys=True))
        return self._known[key]

    def _look_up(self, image: FrameworkImage, instance_type: str) -> str:
        from sagemaker.core import image_uris

        try:
            uri: str = image_uris.retrieve(
                framework=image.framework,
                region=self._region,
                version=image.version,
                py_version=image.py_version,
                instance_type=instance_type,
                image_scope="training",
            )
        except ValueError as error:
            problem = f"no image for {image.framework} {image.version} ({error})"
            raise InvalidSettings("image", problem, "Fix the template or give a URI") from None
        return uri
