"""`python -m release`: see release/main.py."""

import sys

from release.main import main

sys.exit(main())
