"""From an exported program to the one IR that every pass reads."""
