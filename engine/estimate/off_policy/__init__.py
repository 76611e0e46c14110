"""What outcomes would have been under other decisions, where history randomised its own with logged propensities."""
