"""gazelle-sync: a Gazelle account, mirrored into PostgreSQL every day."""
