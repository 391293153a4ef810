"""The world: riders, gates and what goes wrong with them."""
