"""Clotho: where its files lie, what its tables say, and which of its clips are on disk."""
