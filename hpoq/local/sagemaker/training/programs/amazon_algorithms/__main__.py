"""Run one of the algorithms in a training job: ``python amazon_algorithms kmeans``."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(importlib.import_module("amazon_algorithms.run").main(sys.argv[1]))
