"""Settings of a strategy's parameters → the ones worth having. Knows numbers; knows nothing of creatives or labels."""
