"""What a run costs before it is started: operations, memory, GPU-hours; and how fast a GPU is."""
