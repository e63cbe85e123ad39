"""SQL, and what differs between databases."""
