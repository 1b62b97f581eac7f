"""Signed AWS calls over connections that are kept: what the router needs of an SDK, and no more."""
