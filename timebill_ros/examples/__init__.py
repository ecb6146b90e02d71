"""Planners that ask the node, to read and to start from."""
