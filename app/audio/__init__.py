"""Sound as data: formats, rates, containers."""
