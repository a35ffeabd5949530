"""``python -m gradmint``: the command line."""

from .cli import main

main(prog_name="gradmint")
