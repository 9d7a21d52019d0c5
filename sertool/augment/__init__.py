"""What `sertool augment` does: draw copies and make them."""
