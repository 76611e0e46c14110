"""What opening a task gives: a function of one shard."""

from __future__ import annotations

from collections.abc import Callable

from engine.records import Receipt, Shard

Work = Callable[[Shard], Receipt]
