"""Linking of program enrollments to LMS users: tables, rules and the engine that applies them."""
