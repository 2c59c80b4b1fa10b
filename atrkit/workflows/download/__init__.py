"""`atrkit download`: one module per dataset, and what they share."""
