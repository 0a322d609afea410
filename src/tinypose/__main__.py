"""Run the command line with ``python -m tinypose``."""

from tinypose.cli.main import main

main()
