"""Matrix products of the cross-entropy scorer: in half precision where that is asked for."""

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Precision = Literal["fp32", "fp16", "bf16"]
Activation = Literal["gelu", "relu", "none"]


def product_dtype(precision: Precision) -> torch.dtype:
    """What matrix products take in.

    >>> product_dtype("bf16")
    torch.bfloat16
    """
    match precision:
        case "fp32":
            return torch.float32
        case "fp16":
            return torch.float16
        case "bf16":
            return torch.bfloat16
        case _:
            assert_never(precision)


class Product:
    """A linear layer and the activation after it; input, weights and output of the product are of one type.

    Args:
        weight_OI: as in `nn.Linear`.
        bias_O: likewise; None: no bias.
        dtype: of the product.
        activation: after it.
    """

    def __init__(
        self, weight_OI: Tensor, bias_O: Tensor | None, dtype: torch.dtype, activation: Activation = "none"
    ) -> None:
        self.weight_OI = weight_OI.detach().to(dtype)
        self.bias_O = None if bias_O is None else bias_O.detach().to(dtype)
        self.activation = activation

    @classmethod
    def of(cls, linear: nn.Linear, dtype: torch.dtype, activation: Activation = "none") -> "Product":
        """Of a layer of the model."""
        return cls(linear.weight, linear.bias, dtype, activation)

    def __call__(self, x: Tensor) -> Tensor:
        """Activation of `x` times the weights plus the bias; of the type of the product."""
        out = F.linear(x.to(self.weight_OI.dtype), self.weight_OI, self.bias_O)
        match self.activation:
            case "gelu":
                return torch.ops.aten.gelu_(out)  # type: ignore[no-any-return]  # F.gelu has no in-place form
            case "relu":
                return out.relu_()
            case "none":
                return out
            case _:
                assert_never(self.activation)
