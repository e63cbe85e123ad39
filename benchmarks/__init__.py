"""How fast linking is, measured side by side with what it replaces and with what PostgreSQL itself can do."""
