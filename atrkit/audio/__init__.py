"""Read, check, mix down, resample."""
