"""Run notebooks from top to bottom, as CI does, and save their outputs.

python notebooks/execute.py notebooks/*.ipynb
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TIMEOUT = 600  # seconds per cell
# Paths and terminal codes, which differ between machines.
NOISE = re.compile(r"/[\w./-]+/(?=\.hpoq)|\x1b\[[0-9;?]*[a-zA-Z]")


def execute(path: Path, *, keep: bool = True) -> nbformat.NotebookNode:
    """Run one notebook in its own folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    client = NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    client.execute()
    if keep:
        for output in _outputs(notebook):
            if "text" in output:
                output["text"] = NOISE.sub("", output["text"])
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path)
    return notebook


def _outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        execute(Path(name))
