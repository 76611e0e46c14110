"""The last two stages: replayed totals and labels → numbers → files a person reads."""
