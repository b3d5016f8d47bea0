"""The driver of a run, for spark-submit: `spark-submit … local:///opt/site/sluice_batch/spark/__main__.py ARGUMENTS`.

The arguments, the exit status and the termination log are those of `python -m sluice_batch`. `--shards` is the number
of executors, which determines how finely the data is split.
"""

import sys

from sluice_batch import __main__ as runner
from sluice_batch.spark import application

if __name__ == "__main__":
    sys.exit(runner.main(sys.argv[1:], application.run))
