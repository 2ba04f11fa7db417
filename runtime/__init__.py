"""Run, compare and time what was made from a network, and know the targets it is made for."""
