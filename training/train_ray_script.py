"""Search the hyperparameters of any training script with Ray, within one training job of any size.

Locally:       python training/train_ray_script.py --source examples/own_model --script train.py
                   --fixed '{"data": "examples/own_model"}' --objective accuracy --trials 20
                   --space '{"max-leaf-nodes": {"type": "integer", "min": 2, "max": 20}}'
                   --metrics '{"accuracy": "validation:accuracy=([0-9.]+)"}'
On SageMaker:  unchanged; all hosts of the training job form one Ray cluster, and the channel
               `script` brings the archive of the script.
Resumes an interrupted search when run again with the same --checkpoint-dir.
Writes the best model and trials.jsonl (a line per trial) to --model-dir.
Prints what the best trial printed of its metrics.
"""

from script_search.command import main

if __name__ == "__main__":
    main("Search the hyperparameters of any training script with Ray.")
