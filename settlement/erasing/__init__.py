"""Scanned codes of single taps go because somebody may ask for it."""
