"""What is written down and read back: frames, histories, provenance; whole or not at all."""
