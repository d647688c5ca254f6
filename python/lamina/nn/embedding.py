"""Tables of vectors, looked up by number."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.nn import functional as F
from lamina.nn import init
from lamina.nn.linear import check_sizes
from lamina.nn.module import Module
from lamina.nn.parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Embedding"]


class Embedding(Module):
    """Integers of any shape to vectors, (…) to (…, embedding_dim): the rows of `weight`.

    padding_idx: a row that begins at zero and is never trained. max_norm: rows that are longer (in the norm of order
    norm_type) are shortened to it when they are looked up.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} rows")
            padding_idx %= num_embeddings
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.weight = Parameter(_C.empty(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Embedding:
        """A table with these rows, by default not trained further; options as for the constructor."""
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected a matrix, got shape {embeddings.shape}")
        table = cls(*embeddings.shape, **options)
        table.weight = Parameter(embeddings, requires_grad=not freeze)
        return table

    def reset_parameters(self) -> None:
        """N(0, 1), but 0 for the padding."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx].zero_()

    def forward(self, input: Tensor) -> Tensor:
        if self.max_norm is None:
            return _C.embedding(input, self.weight, self.padding_idx)
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            shown += f", padding_idx={self.padding_idx}"
        return shown if self.max_norm is None else f"{shown}, max_norm={self.max_norm}, norm_type={self.norm_type}"
