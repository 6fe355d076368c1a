"""A trial as a call of a function of the script, in a process that keeps imports and data.

The function gets the hyperparameters as a script does, as a list of arguments; a function without
parameters finds them in `sys.argv`. What it prints through Python counts as the script's output.
"""

import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from credit_default.container import TrainingFailed


class TrialStopped(BaseException):
    """Raised where the function prints, to end a trial early; scripts do not catch it."""


class ImportedScript:
    """A script that was imported once, for all trials of this process.

    Args:
        path: the script.
        name: of its function.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        module = _imported(path)
        function = getattr(module, name, None)
        if not callable(function):
            raise TrainingFailed(f"--function {name}: {path.name} has no such function")
        self._function: Callable[..., Any] = function

    def call(
        self,
        arguments: list[str],
        environ: Mapping[str, str],
        directory: Path,
        read: Callable[[str], bool],
    ) -> str:
        """Call the function for one trial and return why it failed; empty if it succeeded.

        Args:
            arguments: the hyperparameters, as a script gets them.
            environ: its environment variables.
            directory: its working directory.
            read: called with each line that it prints; returns whether it should continue.

        Raises:
            TrialStopped: `read` said so.
        """
        takes_arguments = bool(signature(self._function).parameters)
        with _surroundings([str(self.path), *arguments], environ, directory):
            lines = _Lines(read)
            try:
                with redirect_stdout(lines):
                    self._function(arguments) if takes_arguments else self._function()
                    lines.end()
            except SystemExit as error:
                lines.end()
                return "" if error.code in (None, 0) else f"exit status {error.code}"
            except Exception as error:
                traceback.print_exc()
                return f"{type(error).__name__}: {error}".splitlines()[0][:1024]
        return ""


class _Lines(io.TextIOBase):
    """A stdout that passes each line on and ends the trial when the reader says so."""

    def __init__(self, read: Callable[[str], bool]) -> None:
        self._read, self._begun = read, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if not self._read(line.rstrip("\r")):
                raise TrialStopped
        return len(text)

    def end(self) -> None:
        """Pass on a last line without a line break."""
        if self._begun:
            self._read(self._begun)


def _imported(path: Path) -> ModuleType:
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    if spec is None or spec.loader is None:
        raise TrainingFailed(f"--function: {path.name} is not a Python script")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look their module up
    spec.loader.exec_module(module)
    return module


@contextmanager
def _surroundings(
    arguments: list[str], environ: Mapping[str, str], directory: Path
) -> Iterator[None]:
    """Give a trial its own arguments, variables and working directory."""
    before = sys.argv, dict(os.environ), Path.cwd()
    sys.argv = arguments
    os.environ.update(environ)
    os.chdir(directory)
    try:
        yield
    finally:
        sys.argv = before[0]
        os.environ.clear()
        os.environ.update(before[1])
        os.chdir(before[2])
