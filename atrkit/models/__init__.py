"""Retrieval models that map frozen embeddings and captions into one space."""
