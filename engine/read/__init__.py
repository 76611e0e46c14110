"""Parquet → creatives: shards, content identity, labels, audits."""
