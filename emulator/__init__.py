"""Everything for a laptop: set-up, the emulator suite, a stand-in model provider, seed data and a walk."""
