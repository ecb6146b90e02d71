"""The report of all benchmarks: machine, intervals, tables, results page."""
