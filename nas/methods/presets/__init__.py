"""Hyper-parameters of each method as data: `toy` for minutes on a processor, `paper` for a server."""
