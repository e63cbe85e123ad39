"""Learners from CSV files: mapping files, import files and the inbox of the nightly import."""
