"""What `sertool train` does: divide, train, score and keep."""
