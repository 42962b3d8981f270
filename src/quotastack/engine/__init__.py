"""The one writer of everything that belongs to a customer."""
