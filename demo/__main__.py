"""`python -m demo`: see demo/main.py."""

import sys

from demo.main import main

sys.exit(main())
