"""Training: losses, the loop, and the run folder."""
