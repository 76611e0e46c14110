"""What a worker does with a shard. Here and in `pipeline` stages meet; nowhere else.

Each task commits its output and hands back a receipt; a shard whose output is already committed costs one look.
"""
