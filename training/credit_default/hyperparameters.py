"""The hyperparameters, converted and checked in the same way for flags and for Ray trials."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

ACTIVATIONS = ("silu", "relu", "gelu")
OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("onecycle", "cosine", "step", "constant")
BALANCED = "balanced"


def number(
    kind: type[int] | type[float], low: float, high: float, *, above: bool = False
) -> Callable[[str], float]:
    """Return a converter that rejects numbers out of range.

    Args:
        kind: int or float.
        low: smallest number allowed.
        high: largest number allowed.
        above: reject `low` itself too.
    """

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            kind_name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind_name}") from None
        if not (low < value if above else low <= value) or not value <= high:
            bounds = f"above {low:g}" if above else f"at least {low:g}"
            problem = f"{text} is out of range: {bounds} and at most {high:g}"
            raise argparse.ArgumentTypeError(problem)
        return value

    return convert


def sizes(text: str) -> tuple[int, ...]:
    """Parse layer sizes such as "128-64"; "0" and "" mean none, which is logistic regression."""
    if text in ("", "0"):
        return ()
    return tuple(int(number(int, 1, 16384)(size)) for size in text.split("-"))


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a converter that accepts these words only."""

    def convert(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return convert


def weight(text: str) -> float | None:
    """Parse the weight of a positive, in negatives; None means that the classes are balanced."""
    return None if text == BALANCED else number(float, 0, 1e4, above=True)(text)


def _value(default: Any, convert: Callable[[str], Any], meaning: str) -> Any:
    return field(default=default, metadata={"convert": convert, "help": meaning})


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The hyperparameters of a training run.

    The defaults reach a validation AUC of 0.78 on the real data in under a second of one core.
    """

    epochs: int = _value(10, number(int, 1, 100_000), "passes over the training part")
    batch_size: int = _value(512, number(int, 1, 10**7), "rows per step and process")
    lr: float = _value(5e-3, number(float, 0, 1e3, above=True), "highest learning rate")
    lr_schedule: str = _value("onecycle", one_of(*SCHEDULES), ", ".join(SCHEDULES))
    optimizer: str = _value("adamw", one_of(*OPTIMIZERS), ", ".join(OPTIMIZERS))
    momentum: float = _value(0.9, number(float, 0, 0.9999), "momentum of sgd, beta1 of adam, adamw")
    weight_decay: float = _value(1e-2, number(float, 0, 1e3), "weight decay, decoupled in adamw")
    hidden: tuple[int, ...] = _value((64, 32), sizes, 'layer sizes, such as "128-64"')
    activation: str = _value("silu", one_of(*ACTIVATIONS), ", ".join(ACTIVATIONS))
    dropout: float = _value(0.3, number(float, 0, 0.99), "dropout probability")
    positive_weight: float | None = _value(
        1.0, weight, 'weight of a positive, in negatives, or "balanced"'
    )
    focal_gamma: float = _value(
        0.0, number(float, 0, 20), "gamma of the focal loss; 0 is cross entropy"
    )
    gradient_clip: float = _value(1.0, number(float, 0, 1e9), "highest gradient norm; 0: no limit")
    ema_decay: float = _value(
        0.98, number(float, 0, 0.99999), "decay of the weight average; 0: no average"
    )
    patience: int = _value(
        0, number(int, 0, 10**6), "epochs without improvement before stopping; 0: never stop"
    )
    accumulate: int = _value(1, number(int, 1, 1024), "gradient accumulation steps per batch")
    seed: int = _value(0, number(int, 0, 2**31 - 1), "random seed")

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Add one flag per hyperparameter, named as on SageMaker: --batch-size."""
        for each in fields(cls):
            parser.add_argument(
                flag(each.name),
                type=each.metadata["convert"],
                default=each.default,
                metavar="VALUE",
                help=f"{each.metadata['help']} (default: {text(each.default)})",
            )

    @classmethod
    def options(cls) -> list[tuple[str, Callable[[str], Any], str]]:
        """Return name, converter and help text of each hyperparameter."""
        return [
            (each.name, each.metadata["convert"], each.metadata["help"]) for each in fields(cls)
        ]

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the hyperparameters among the parsed arguments."""
        return cls(**{each.name: getattr(args, each.name) for each in fields(cls)})

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Return hyperparameters from SageMaker's names (`batch-size`) and values of any type.

        Raises:
            ValueError: a name is unknown or a value is invalid; the message names it.
        """
        converters = {each.name: each.metadata["convert"] for each in fields(cls)}
        given = {}
        for name, value in values.items():
            key = name.replace("-", "_")
            if key not in converters:
                raise ValueError(f"{name}: unknown hyperparameter")
            try:
                given[key] = converters[key](text(value))
            except argparse.ArgumentTypeError as error:
                raise ValueError(f"{name}: {error}") from None
        return cls(**given)

    def to_strings(self) -> dict[str, str]:
        """Return all hyperparameters, named and formatted as SageMaker passes them."""
        return {flag(each.name)[2:]: text(getattr(self, each.name)) for each in fields(self)}


def flag(name: str) -> str:
    """Return the flag of a field: --batch-size for `batch_size`."""
    return "--" + name.replace("_", "-")


def text(value: Any) -> str:
    """Return a value as it is written on a command line."""
    if value is None:
        return BALANCED
    if isinstance(value, (tuple, list)):
        return "-".join(map(str, value)) or "0"
    return str(value)
