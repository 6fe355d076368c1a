"""The training scripts that the queue, the notebooks and the campaigns run.

SageMaker unpacks this folder and runs a script in it, so the scripts import their packages by
top-level names (`from credit_default.fit import Fit`). Importing this folder as a package
(`python -m training.prepare_data`) puts it on the path, so that those names resolve there too.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
