"""The command line: ``tinypose VERB``."""
