"""What the Snakefile asks of the package."""
