"""Voice analysis, beside recognition."""
