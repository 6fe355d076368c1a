"""Train a small neural network on CSV files whose last column is the class.

Locally:       python examples/templates/pytorch/train.py --data examples/own_model
On SageMaker:  unchanged; the SM_* variables supply the folders.
Prints after each ten epochs:  validation:loss=<nats> validation:accuracy=<0 to 1>
"""

import argparse
import os
from pathlib import Path

import pandas as pd
import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--hidden", type=int, default=16)
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAIN", "."))
parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "model"))
args, _ = parser.parse_known_args()

torch.manual_seed(0)
rows = pd.concat(pd.read_csv(file) for file in sorted(Path(args.data).glob("*.csv")))
rows = rows.sample(frac=1, random_state=0)
features = torch.tensor(rows.iloc[:, :-1].to_numpy(), dtype=torch.float32)
classes = torch.tensor(rows.iloc[:, -1].to_numpy(), dtype=torch.int64)
cut = len(rows) * 4 // 5

model = nn.Sequential(
    nn.BatchNorm1d(features.shape[1]),
    nn.Linear(features.shape[1], args.hidden),
    nn.ReLU(),
    nn.Linear(args.hidden, int(classes.max()) + 1),
)
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
for epoch in range(1, args.epochs + 1):
    model.train()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(features[:cut]), classes[:cut]).backward()
    optimizer.step()
    if epoch % 10 == 0:
        model.eval()
        with torch.no_grad():
            scores = model(features[cut:])
            loss = nn.functional.cross_entropy(scores, classes[cut:])
            accuracy = (scores.argmax(1) == classes[cut:]).float().mean()
        print(f"validation:loss={loss:.6f} validation:accuracy={accuracy:.4f}")

Path(args.model_dir).mkdir(parents=True, exist_ok=True)
torch.jit.script(model.eval()).save(str(Path(args.model_dir) / "model.pt"))
