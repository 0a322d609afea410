"""Compression: make a trained network smaller and faster."""
