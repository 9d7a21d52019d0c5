"""What `sertool eval` does: score predictions, and show the figures."""
