"""What `sertool featurize` does: compute features into shards."""
