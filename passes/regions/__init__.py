"""Regions of linear operators in a graph: found, read as algebra, and written back as planned."""
