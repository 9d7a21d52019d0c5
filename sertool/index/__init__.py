"""What `sertool index` does: find clips, label and examine them."""
