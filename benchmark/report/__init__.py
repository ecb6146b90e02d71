"""What all benchmarks report with: the machine, intervals, tables, the results page."""
