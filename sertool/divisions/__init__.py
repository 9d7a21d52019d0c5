"""Splits and folds: how clips are divided, and the guard against leaks."""
