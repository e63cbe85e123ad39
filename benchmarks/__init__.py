"""The speed of linking, compared with simpler ways to link and with hand-written SQL."""
