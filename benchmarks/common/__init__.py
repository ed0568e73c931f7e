"""What the benchmarks share: rows, intervals, pages."""
