"""AudioCaps: its tables of captions, clips fetched from YouTube or found in a folder, and its published test pools."""
