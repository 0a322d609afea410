"""Inference: from pictures to poses, with no training library."""
