"""Suggests what to search: a range for each option of a script, from its type and default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hpoq.templates.script import COMPUTED, ScriptOption

Range = dict[str, Any]

# Names of options that are no hyperparameters to search: places, identities, amounts of work.
_FIXED = re.compile(
    r"(?i)((^|[-_])(dir|directory|path|file|folder|output|checkpoints?|resume|seed|random[-_]?state|"
    r"epochs?|workers|gpus?|cpus?|hosts?|rank|world[-_]size|backend|device|port|verbose|verbosity|"
    r"interval|patience|bucket|region|prefix|version|folds?)($|[-_])"
    r"|^(data|dataset|train|test|validation|model|name|nodes|n[-_]jobs|jobs|steps|iterations)$)"
)
# Rates span orders of magnitude, fractions lie between 0 and 1.
_RATE = re.compile(
    r"(?i)(^|[-_])(lr|eta|rate|decay|wd|alpha|lambda|epsilon|eps|c|tol|reg|l1|l2)($|[-_])"
)
_FRACTION = re.compile(
    r"(?i)(drop|dropout|momentum|subsample|colsample|fraction|ratio|beta|prob|split)"
)
MANY = 16  # from this default on, an integer is searched by its order of magnitude
FACTOR = 4  # a range reaches from a fraction to a multiple of the default
LARGE_FACTOR = 10


def suggested_range(option: ScriptOption) -> Range | None:
    """Return a range to search for an option, in the form of a message; None if it is fixed."""
    if not option.takes_one_value:
        return None
    if option.choices:
        return _of_choices(option.choices)
    if _FIXED.search(option.name) and not _RATE.search(option.name):
        return None
    default = None if option.default is COMPUTED else option.default
    match option.type:
        case "float":
            return _of_floats(option.name, default)
        case "int":
            return _of_integers(default)
    return None


def fixed_value(option: ScriptOption) -> Any:
    """Return the value of an option that is not searched; None to leave it out."""
    if option.takes_one_value and option.default not in (None, "", COMPUTED):
        is_plain = option.type in ("int", "float") and isinstance(option.default, (int, float))
        return option.default if is_plain else None
    return None


def _of_choices(choices: Sequence[Any]) -> Range | None:
    plain = [each for each in dict.fromkeys(choices) if isinstance(each, (str, int, float))]
    if len(plain) < 2 or len(plain) != len(choices):
        return None
    return {"type": "categorical", "values": plain}


def _of_floats(name: str, default: Any) -> Range:
    value = float(default) if isinstance(default, (int, float)) else None
    if _FRACTION.search(name):
        return _linear(0.0, 1.0) if value is None else _fraction(value)
    if _RATE.search(name) or (value is not None and 0 < value <= 0.01):
        middle = value if value is not None and value > 0 else 0.01
        return {
            "type": "continuous",
            "min": _rounded(middle / LARGE_FACTOR),
            "max": _rounded(middle * LARGE_FACTOR),
            "scaling": "Logarithmic",
        }
    if value is None or value == 0:
        return _linear(0.0, 1.0)
    ends = sorted((value / FACTOR, value * FACTOR))
    return _linear(*ends)


def _fraction(value: float) -> Range:
    """Return a range around a fraction that stays between 0 and 1."""
    if not 0 <= value <= 1:
        ends = sorted((value / FACTOR, value * FACTOR))
        return _linear(*ends)
    half = max(0.2, min(value, 1 - value))
    return _linear(max(0.0, value - half), min(1.0, value + half))


def _linear(low: float, high: float) -> Range:
    return {"type": "continuous", "min": _rounded(low), "max": _rounded(high)}


def _of_integers(default: Any) -> Range:
    value = default if isinstance(default, int) and not isinstance(default, bool) else None
    if value is None or value <= 0:
        return {"type": "integer", "min": 1, "max": 10}
    low, high = max(1, value // FACTOR), max(2, value * FACTOR)
    scaling = {"scaling": "Logarithmic"} if value >= MANY else {}
    return {"type": "integer", "min": low, "max": high, **scaling}


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
