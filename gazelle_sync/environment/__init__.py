"""What this installation is told, and what it talks to: settings, and where Gazelle and the database are.

Keep out: Dagster, and what is done with a setting or a service.
"""
