"""Who may sequence, and how the cities let that right pass to another key."""
