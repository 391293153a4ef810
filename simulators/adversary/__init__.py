"""Liars with real keys over real formats: a house, a city and a mirror, each with its lies."""
