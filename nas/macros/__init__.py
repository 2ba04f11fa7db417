"""Macro-architectures as data: one TOML file each."""
