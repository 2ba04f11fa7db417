"""The target profiles that come with nascc, one TOML file each."""
