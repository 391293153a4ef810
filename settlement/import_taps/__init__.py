"""Real gate logs into signed batches, ledger ticks and cleared journeys, and how our fares compare with the log's."""
