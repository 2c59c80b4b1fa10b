"""Every number, as PROTOCOL.md defines it."""
