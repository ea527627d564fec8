"""Lets the tests here import the modules beside them: the reference, the random projects, the driver."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
