"""A network with faults, between the node and a remote engine."""
