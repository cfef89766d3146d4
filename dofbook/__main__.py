"""Let ``python -m dofbook`` be the command line."""

import sys

from dofbook.cli import main

if __name__ == "__main__":
    sys.exit(main())
