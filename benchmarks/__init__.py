"""What a sync costs, measured against its peers: `make bench`. See docs/performance.md.

No part of the installed project, and nothing of the project may import it.
"""
