"""`python -m gazelle_sync.ui`."""

from gazelle_sync.ui.server import main

main()
