"""Earshot: ears, a mind and a voice for thin devices."""
