"""Length predictors: they predict how long an answer becomes."""
