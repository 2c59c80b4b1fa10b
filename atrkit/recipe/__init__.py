"""A recipe is one YAML file: its schema, and loading it safely."""
