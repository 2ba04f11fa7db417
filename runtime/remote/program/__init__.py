"""What is copied to a device to measure there; it knows nothing of nascc."""
