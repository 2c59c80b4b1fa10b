"""What each command does; the only place where neighbours meet."""
