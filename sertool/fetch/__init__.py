"""What `sertool fetch` does: download, check and unpack."""
