"""Totals + labels → rates with intervals. Knows arrays; knows nothing of files, models or clusters."""
