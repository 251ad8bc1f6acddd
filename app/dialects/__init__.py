"""Thin translators between wire protocols and sessions."""
