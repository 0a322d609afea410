"""Codecs: encode labels as targets and decode predictions, in one object."""
