"""The decision: queries, deadlines, plans and bills. Standard library and numpy only."""
