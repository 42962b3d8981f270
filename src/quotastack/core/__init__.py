"""The rules. Values in, values out: standard library and msgspec only."""
