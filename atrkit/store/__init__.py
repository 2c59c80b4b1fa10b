"""Embeddings and scores on disk: HDF5, in parts."""
