"""Manifests: their columns, formats, provenance and contents."""
