"""Is every query answered once, and by its deadline? Also under load."""
