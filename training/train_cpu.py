"""Train the credit-default classifier on CPU.

Locally:       python training/train_cpu.py --data-dir data/credit-default --epochs 10 --lr 0.005
On SageMaker:  unchanged; the SM_* variables supply the folders, and several hosts train together.
Prints after each epoch, on one line:
    epoch=1 train:loss=<nats> validation:auc=<0..1> validation:f1=<0..1> validation:loss=<nats>
Prints at the end the validation and test metrics of the best epoch, whose model it saves.
"""

from collections.abc import Sequence

import torch

from credit_default.container import Folders, OneLineParser, report_failure
from credit_default.distributed import join
from credit_default.hyperparameters import Hyperparameters, number, one_of
from credit_default.optimization import PRECISIONS
from credit_default.run import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and train one model."""
    parser = OneLineParser(description="Train the credit-default classifier on CPU.")
    Folders.add_to(parser)
    Hyperparameters.add_to(parser)
    parser.add_argument(
        "--threads", type=number(int, 1, 1024), default=1, help="CPU threads (default: 1)"
    )
    parser.add_argument(
        "--precision",
        type=one_of(*PRECISIONS),
        default="bfloat16",
        help="lowest precision of matrix products: bfloat16 (default) or float32",
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with report_failure():
        run(
            Hyperparameters.from_args(args),
            Folders.from_args(args, parser),
            device=torch.device("cpu"),
            world=join("gloo"),
            precision=PRECISIONS[args.precision],
        )


if __name__ == "__main__":
    main()
