"""The downloader lives in its image's folder, which is no part of the installed package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"))
