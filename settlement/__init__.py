"""The money: from sealed batches to positions that every city can re-derive."""
