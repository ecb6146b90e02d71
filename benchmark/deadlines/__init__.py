"""The deadline contract: exactly one reply for each query, by its deadline, also under load."""
