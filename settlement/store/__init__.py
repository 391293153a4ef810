"""PostgreSQL: the only SQL of the house."""
