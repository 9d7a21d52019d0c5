"""Model files, and the inference that they describe."""
