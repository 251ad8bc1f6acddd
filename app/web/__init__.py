"""Pages, health, metrics, authentication."""
