"""What people look at: tables, JSON, pages. Never imports torch."""
