"""Route a few real requests to a new immutable stack, and make it current once they have succeeded."""

__version__ = "0.1.0"
