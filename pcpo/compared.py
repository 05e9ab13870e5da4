"""The two arms of the paper's tables, the reference first.

Every experiment trains both, the levels of the reward are derived from their runs, and checkpoints
are matched to the first one's. Nothing is imported: tables and starts of a training need no
configuration.
"""

COMPARED = ("baseline", "pcpo")
