"""The commands of the package: `python -m pcpo.cli.<name>`.

This file runs before a command's imports. They make a million objects that live to the end, and
Python's collector would search them again and again: a fifth of the start.
"""

import gc

THRESHOLD = gc.get_threshold()  # Python's own; `console.setup` sets it again
gc.set_threshold(100_000, 50, 100)
