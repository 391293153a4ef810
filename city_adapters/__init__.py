"""The cities: their networks, tariffs, gates and the road from a tap to the ledger."""
