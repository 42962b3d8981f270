"""Time and the outside: due customers and deliveries."""
