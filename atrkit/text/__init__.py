"""Caption text: normalise, stem, vocabulary."""
