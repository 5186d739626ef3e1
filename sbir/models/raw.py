"""The feature as it is: what a method has to beat first, and seldom enough to be worth beating alone."""

from sbir.models.method import Method
from sbir.models.settings import common_width
from sbir.types import DataSpec, Rows, Views


class Raw(Method):
    """Ranks by the cosine between the stored features of both domains, which must have one width."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        common_width(spec)

    def embed_query(self, rows: Rows) -> Views:
        """The feature itself."""
        return {"feature": rows["feature"]}

    def embed_gallery(self, rows: Rows) -> Views:
        """The feature itself."""
        return {"feature": rows["feature"]}
