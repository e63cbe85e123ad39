"""Tests: unit (no database), integration (PostgreSQL and SQLite), acceptance (real broker and workers)."""
