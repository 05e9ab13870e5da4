"""Functions that the Snakefile calls: targets, inputs, resources, devices."""
