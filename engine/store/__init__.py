"""What lies on disk and can be trusted: committed outputs, run directories, the scores that runs share."""

from engine.store.commit import (
    Committed,
    commit_bytes,
    commit_table,
    facts_of,
    find_committed,
    fingerprint,
    read_committed,
    read_committed_bytes,
    shard_path,
    write_whole,
)
from engine.store.directory import RunDirectory
from engine.store.scores import ScoreStore

__all__ = [
    "Committed",
    "RunDirectory",
    "ScoreStore",
    "commit_bytes",
    "commit_table",
    "facts_of",
    "find_committed",
    "fingerprint",
    "read_committed",
    "read_committed_bytes",
    "shard_path",
    "write_whole",
]
