"""Pixels as they are: what a network on drawings has to beat first."""

from sbir.models.drawings import ink
from sbir.models.method import Method
from sbir.types import DataSpec, Rows, Views


class Pixels(Method):
    """Ranks by the cosine between the ink of two pictures, pixel by pixel."""

    query_columns = gallery_columns = ("image",)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def embed_query(self, rows: Rows) -> Views:
        """Darkness of every pixel, (n, S·S)."""
        return {"ink": ink(rows).flatten(1)}

    def embed_gallery(self, rows: Rows) -> Views:
        """Darkness of every pixel, (n, S·S)."""
        return self.embed_query(rows)
