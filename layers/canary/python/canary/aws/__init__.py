"""Thin adapters: each method is one AWS call, values in and values out. They decide nothing."""
