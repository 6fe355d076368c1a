#!/bin/sh
# Prints the distance of the hyperparameter x from 1, and saves x as the model.
#
# The toolkit passes hyperparameters as options (--x 0.5) and in SM_HP_* variables.
set -eu
awk -v x="$SM_HP_X" 'BEGIN { d = x - 1; print "distance=" (d < 0 ? -d : d) }'
echo "$SM_HP_X" > "$SM_MODEL_DIR/x.txt"
