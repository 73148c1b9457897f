"""`python -m gazelle_sync.cli`, where the script `gazelle-sync` can't be named."""

from gazelle_sync.cli import main

main(prog_name="gazelle-sync")
