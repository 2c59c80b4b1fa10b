"""From embeddings or models to scores of clip-caption pairs."""
