"""The columns of the credit-default set, and the names that published files use for them.

Yeh and Lien (2009), UCI Machine Learning Repository id 350, doi:10.24432/C55S3H.
"""

from collections.abc import Sequence

MONTHS = (1, 2, 3, 4, 5, 6)  # 1 = September 2005, 6 = April 2005
PAYMENT_STATUS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")  # the set has no PAY_1
BILL = tuple(f"BILL_AMT{month}" for month in MONTHS)
PAID = tuple(f"PAY_AMT{month}" for month in MONTHS)
FEATURES = ("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", *PAYMENT_STATUS, *BILL, *PAID)
TARGET = "DEFAULT"
COLUMNS = (*FEATURES, TARGET)

_ALIASES = {
    "PAY_1": "PAY_0",
    "Y": TARGET,
    "DEFAULT.PAYMENT.NEXT.MONTH": TARGET,
    "DEFAULT PAYMENT NEXT MONTH": TARGET,
    **{f"X{number}": name for number, name in enumerate(FEATURES, start=1)},
}


class DataError(ValueError):
    """The data is invalid: names the file, the column, the row and the problem."""

    def __init__(
        self, file: object, problem: str, *, column: str | None = None, row: int | None = None
    ) -> None:
        where = [str(file)]
        where += [f"column {column}"] if column else []
        where += [f"row {row}"] if row is not None else []
        super().__init__(f"{', '.join(where)}: {problem}")


def canonical(name: str) -> str:
    """Return this package's name of a column, given a file's name of it."""
    plain = name.strip().strip('"').upper()
    return _ALIASES.get(plain, plain)


def positions(file: object, header: Sequence[str], columns: Sequence[str] = COLUMNS) -> list[int]:
    """Return the position of each of `columns` in a file's header.

    Raises:
        DataError: a column is missing or occurs more than once.
    """
    names = [canonical(name) for name in header]
    for column in columns:
        if names.count(column) != 1:
            problem = "is missing" if column not in names else "occurs more than once"
            raise DataError(file, problem, column=column, row=1)
    return [names.index(column) for column in columns]
