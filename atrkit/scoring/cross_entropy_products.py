"""Matrix products of the cross-entropy scorer: in half precision where asked for, and packed for the processor."""

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Precision = Literal["fp32", "fp16", "bf16"]
Activation = Literal["gelu", "relu", "none"]

_BATCH_HINT = 512  # rows that oneDNN packs for; any number can be multiplied


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

    In float32 on a CPU the weights are packed once for oneDNN, which multiplies a tenth faster than `F.linear` and
    applies the activation while the output is in the cache.

    Args:
        weight_OI: as in `nn.Linear`; read now, later changes are not seen.
        bias_O: likewise.
        dtype: of the product.
        activation: after it.
    """

    def __init__(self, weight_OI: Tensor, bias_O: Tensor, dtype: torch.dtype, activation: Activation = "none") -> None:
        self.weight_OI = weight_OI.detach().to(dtype)
        self.bias_O = bias_O.detach().to(dtype)
        self.activation = activation
        is_packable = dtype == torch.float32 and weight_OI.device.type == "cpu" and torch.backends.mkldnn.is_available()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight_OI, _BATCH_HINT) if is_packable else None

    @classmethod
    def of(cls, linear: nn.Linear, dtype: torch.dtype, activation: Activation = "none") -> "Product":
        """Of a layer of the model."""
        return cls(linear.weight, linear.bias, dtype, activation)

    def __call__(self, x: Tensor) -> Tensor:
        """Activation of `x` times the weights plus the bias; of the type of the product."""
        if self.packed is not None:
            # "none" after gelu: the exact one, by the error function
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias_O, self.activation, [], "none")  # type: ignore[no-any-return]
        out = F.linear(x.to(self.weight_OI.dtype), self.weight_OI, self.bias_O)
        match self.activation:
            case "gelu":
                return F.gelu(out)
            case "relu":
                return out.relu_()
            case "none":
                return out
            case _:
                assert_never(self.activation)
