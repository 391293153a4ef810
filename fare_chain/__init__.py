"""The evidence: what a stranger needs to verify a ride, and nothing that needs a secret."""
