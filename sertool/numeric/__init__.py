"""Arithmetic on arrays: signals, codes and figures."""
