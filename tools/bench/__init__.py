"""Benchmarks of nascc against its peers, printed as ratios within one run."""
