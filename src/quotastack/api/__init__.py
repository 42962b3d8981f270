"""HTTP: decode, one service call, encode."""
