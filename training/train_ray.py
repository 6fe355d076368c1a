"""Search hyperparameters with Ray Tune on GPU, within one training job of any number of hosts.

On a laptop:   python training/train_ray.py --data-dir data/credit-default --trials 40
On SageMaker:  unchanged; all hosts of the training job form one Ray cluster.
Run again with the same --checkpoint-dir, it goes on where it was.
Writes to the model folder the best model, results.parquet and results.csv; prints, as
train_cpu.py does, the metrics of the best epoch of the best trial.
"""

from ray_tune.command import main

if __name__ == "__main__":
    main("Search hyperparameters with Ray Tune on GPU.", gpu=True)
