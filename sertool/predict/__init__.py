"""What `sertool predict` does: answer clip by clip."""
