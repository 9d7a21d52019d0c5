"""Pretrained encoders, and whom they were trained on."""
