"""Observe, decide, execute: the application behind the flipper's handler."""
