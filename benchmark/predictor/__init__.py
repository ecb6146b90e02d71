"""The error of predicted lengths, and their use for the planner."""
