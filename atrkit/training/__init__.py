"""Batches, the loop, checkpoints. Free of audio imports."""
