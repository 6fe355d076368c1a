"""Training scripts that the queue, the notebooks and the campaigns run.

The modules import each other flat (`from schema import FEATURES`), because SageMaker unpacks
them into one folder. Importing them as a package therefore puts that folder on the path.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
