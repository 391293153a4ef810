"""Prove what was cleared: one journey, one line, one statement."""
