"""Records on disk: frames, histories, provenance; each is written completely or not at all."""
