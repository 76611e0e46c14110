"""Scores × strategies → decisions → totals. Knows arrays; knows nothing of files, labels or clusters."""
