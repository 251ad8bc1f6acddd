"""Stage workers and the way through them."""
