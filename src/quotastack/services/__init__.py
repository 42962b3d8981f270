"""The operations: what a caller can do."""
