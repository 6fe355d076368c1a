"""Search hyperparameters with Ray Tune on CPU, within one training job of any number of hosts.

Locally:       python training/train_ray_cpu.py --data-dir data/credit-default --trials 40
On SageMaker:  unchanged; all hosts of the training job form one Ray cluster.
Resumes an interrupted search when run again with the same --checkpoint-dir.
Writes the best model, results.parquet and results.csv (a row per trial) to --model-dir.
Prints for the best trial: validation:auc=<0..1> validation:loss=<nats> test:auc=<0..1> ...
"""

from ray_tune.command import main

if __name__ == "__main__":
    main("Search hyperparameters with Ray Tune on CPU.", gpu=False)
