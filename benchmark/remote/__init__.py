"""The benchmark of a remote engine behind a network with faults."""
