"""Scores from elsewhere, and to elsewhere: files of other programs, challenges and retrieval toolkits."""
