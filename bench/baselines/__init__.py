"""Routers to compare ours with. Each module has a `handler`, makes its clients when it is imported, and needs nothing of ours."""
