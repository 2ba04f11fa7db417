"""One module a command, each with a function of the same name."""
