"""Downloads: one resumable, verified transfer for everything atrkit fetches."""
