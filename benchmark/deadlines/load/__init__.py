"""More is asked than can be answered: what the admission and the queue order make of it."""
