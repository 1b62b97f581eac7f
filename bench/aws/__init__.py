"""A stand-in for AWS on this machine, in a process of its own: it answers, waits and counts, and keeps nothing."""
