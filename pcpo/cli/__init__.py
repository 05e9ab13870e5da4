"""The commands of the package: `python -m pcpo.cli.<name>`.

This file runs before a command's imports. They make two million objects that live to the end, and
Python's collector would search them again and again: a fifth of the start.
"""

import gc

THRESHOLD = gc.get_threshold()  # Python's own; `console.setup` sets it again
gc.set_threshold(2_500_000, 50, 100)  # the most that a command has in the end: 1.8 million
