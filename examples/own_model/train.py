"""Train a decision tree on a CSV file whose last column is the class.

Locally:       python examples/own_model/train.py --data examples/own_model --model-dir model
On SageMaker:  unchanged; the SM_* variables supply the folders.
Prints:        validation:accuracy=<share of correct predictions>
"""

import argparse
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--max-leaf-nodes", type=int, default=10)
parser.add_argument("--criterion", choices=["gini", "entropy"], default="gini")
parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAIN", "."))
parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "model"))
args, _ = parser.parse_known_args()

rows = pd.concat(pd.read_csv(file) for file in sorted(Path(args.data).glob("*.csv")))
features, classes = rows.iloc[:, :-1], rows.iloc[:, -1]
model = DecisionTreeClassifier(
    max_leaf_nodes=args.max_leaf_nodes, criterion=args.criterion, random_state=0
)
print(f"validation:accuracy={cross_val_score(model, features, classes).mean():.4f}")
Path(args.model_dir).mkdir(parents=True, exist_ok=True)
joblib.dump(model.fit(features, classes), Path(args.model_dir) / "model.joblib")
