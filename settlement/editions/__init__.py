"""Reports as somebody asks for them: resolved, rendered, signed, published, and made again from the ledger alone."""
