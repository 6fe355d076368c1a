. /tmp/sched19/env.sh
n=$1; shift
for kw in "$@"; do nice python -P /tmp/sched19/exp.py x "$kw" $n; done
