"""Recipes small enough for a test, for runs whose figures do not matter."""


def dual_encoder_recipe(epochs: int) -> str:
    """Log-mel, mean pooling, sixteen dimensions, without dropout."""
    return f"""\
source: ours, small enough for a test
seeds: [1]
encoder: {{name: logmel}}
model:
  name: dual_encoder
  audio: {{hidden_dims: [16], dropout: 0.0, pooling: {{name: mean}}}}
  text: {{name: word_embeddings, dim: 16, pooling: {{name: mean}}}}
  out_dim: 16
loss: {{name: nt_xent}}
optimizer: {{name: adamw, lr: 1e-2}}
training: {{epochs: {epochs}, batch_size: 8, keep_best: val_loss}}
"""
