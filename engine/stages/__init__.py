"""The stages of a run: each maps its task over the shards and gathers what the next one needs."""
