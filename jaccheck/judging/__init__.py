"""What a path gives for a problem, held against the problem's enclosure: what the properties, and others, ask."""
