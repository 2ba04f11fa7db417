"""Linear operators on images: what they are, how they combine into one, and where that pays."""
