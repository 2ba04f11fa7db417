"""Networks: the zoo, its checkpoints, and later the searches."""
