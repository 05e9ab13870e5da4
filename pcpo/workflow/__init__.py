"""Functions that the Snakefile calls: targets (all files, by part), inputs, resources, devices."""
