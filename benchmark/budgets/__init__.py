"""Which plan scores best at every time budget? The evaluation of the paper."""
