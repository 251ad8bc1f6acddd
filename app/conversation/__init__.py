"""Sessions and turns."""
