"""Training images of a framework, from the SageMaker SDK."""

from __future__ import annotations

import json
import re

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.templates import FrameworkImage
from hpo_dispatcher.ports import Documents

DOCUMENT = "images"
_PYTHON = re.compile(r"-(py\d+)(?=-|$)")


def has_versions(uri: str, image: FrameworkImage) -> bool:
    """Return whether an image has the versions of the framework and of Python that are asked for.

    For an accelerator with a single image, the SDK returns that one whatever the versions are:
    pytorch-training-neuron:1.11.0-neuron-py38 for PyTorch 2.10 on ml.trn1
    (image_uri_config/pytorch-neuron.json of the SageMaker SDK).
    """
    tag = uri.rpartition("/")[2].partition(":")[2]
    version = re.escape(image.version)
    # A tag begins with the framework's version; Hugging Face names PyTorch's first.
    is_version = re.search(rf"(?:^|-transformers){version}(?=[.-]|$)", tag)
    pythons = _PYTHON.findall(tag)
    is_python = not (image.py_version and pythons) or image.py_version in pythons
    return bool(is_version) and is_python


class SdkImages:
    """``Images`` from the SDK, each looked up once per deployment.

    Importing the SDK takes seconds, so it waits for an image that the ledger does not know.
    """

    def __init__(self, region: str, documents: Documents, document: str = DOCUMENT) -> None:
        self._region = region
        self._document = document
        self._documents = documents
        self._known: dict[str, str] | None = None

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return the registry URI of a framework image for an instance type.

        Raises:
            InvalidSettings: the SDK knows no such image, or only one with other versions.
        """
        # The image differs by processor family, not by size: ml.g5.xlarge and ml.g5.2xlarge share.
        family = ".".join(instance_type.split(".")[:2])
        key = "/".join([image.framework, image.version, image.py_version or "", family])
        if self._known is None:
            self._known = json.loads(self._documents.get(self._document) or "{}")
        if not has_versions(self._known.get(key, ""), image):
            self._known[key] = self._look_up(image, instance_type)
            self._documents.put(self._document, json.dumps(self._known, sort_keys=True))
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
        if not has_versions(uri, image):
            found = uri.rpartition("/")[2]
            asked = " ".join(filter(None, (image.framework, image.version, image.py_version)))
            problem = f"the SageMaker SDK knows only {found} for it, which is not {asked}"
            raise InvalidSettings("image", problem, "Fix the template or give a URI")
        return uri
