"""What a batch system starts on a node; small, for Python compiles what it is started with each time.

python -I -S batch.py FOLDER
"""

import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.realpath(f"{__file__}/../../../../.."))

    from hutong.adapters.engines.attempt.carry import main

    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing is left to tidy up, and each job would pay for that too
