"""Replies: from the words of the user to sentences."""
