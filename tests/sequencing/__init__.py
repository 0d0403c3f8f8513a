"""The log under kill -9: two sequencers on the emulator, and the count of what is written for a thousand entries."""
