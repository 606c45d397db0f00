"""`python -m dfrot_engine`: the command line."""

from __future__ import annotations

import sys

from dfrot_engine.start import main

if __name__ == "__main__":
    sys.exit(main())
