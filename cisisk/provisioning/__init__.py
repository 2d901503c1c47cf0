"""What a phone pulls: the served directory and the protocols that read it."""
