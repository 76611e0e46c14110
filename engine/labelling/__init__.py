"""What to label next: the creatives whose labels narrow a paired difference most, drawn with known probabilities."""
