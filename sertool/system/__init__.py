"""Messages, files, processes and devices."""
