"""The house's HTTP face."""
