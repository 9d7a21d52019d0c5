"""Requests, downloads and archives, however connections and servers behave."""
