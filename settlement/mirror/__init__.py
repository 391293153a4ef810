"""A city's mirror: it follows the ledger, derives every fen again, and cosigns what it could not fault; a stranger to the house."""
