"""The command line: ``python -m factortopy VERB``."""

import sys

from factortopy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
