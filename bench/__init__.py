"""Measurements of a whole service on the loopback: what a turn costs, how many devices wait, how fast it answers."""
