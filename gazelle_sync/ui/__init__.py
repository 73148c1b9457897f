"""The Dagster UI as it is served here: behind a guard, with the status page beside it.

Keep out: what the UI shows (`definitions`), and the processes beside it (`cli.services`).
"""
