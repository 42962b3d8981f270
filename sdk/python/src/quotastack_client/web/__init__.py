"""For web frameworks: gate a route and record its usage. ``web.asgi`` needs nothing, ``web.fastapi`` needs FastAPI."""
