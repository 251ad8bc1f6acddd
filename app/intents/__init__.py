"""The commands that the embedded engines understand."""
