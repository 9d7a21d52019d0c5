"""Audio: found, decoded, checked, changed and written."""
