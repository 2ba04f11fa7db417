"""The blocks that networks are made of, and the names operators go by."""
