"""Shows in a terminal what a node does: its bills, its misses, its queue."""
