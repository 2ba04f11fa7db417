"""The command line, its reports, and the benchmarks."""
