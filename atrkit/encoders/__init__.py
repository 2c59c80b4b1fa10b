"""Frozen audio encoders behind one surface: load_encoder."""
