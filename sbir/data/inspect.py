"""What a store holds, in a few lines."""

import numpy as np

from sbir.data.items import Items
from sbir.data.store import Store
from sbir.types import Domain


def describe(store: Store) -> str:
    """Lines of `name: value` about a store: contents, origin, split, and hashes."""
    manifest, items = store.manifest, store.items()
    domains = ", ".join(f"{count} {name}" for name, count in manifest["num_rows_by_domain"].items())
    columns = ", ".join(
        f"{name} {claim['dtype']} {tuple(claim['shape'])}" for name, claim in manifest["columns"].items()
    )
    parts = {
        str(name): np.unique(items.class_id[items.split == name]).size for name in np.unique(items.split.astype(str))
    }
    lines = {
        "store": store.path,
        "data set": f"{manifest['dataset']}{' (synthetic)' if manifest['synthetic'] else ''}",
        "rows": f"{manifest['num_rows']} ({domains})",
        "columns": columns,
        "classes": len(manifest["class_names"]),
        **{
            f"paired {'sketches' if query == 'sketch' else 'texts'}": _paired(query, items)
            for query in ("sketch", "text")
            if query in manifest["num_rows_by_domain"]
        },
        "stored split": ", ".join(f"{name or 'unassigned'}: {count} classes" for name, count in parts.items()),
        "given": manifest["given"],
        "size": f"{store.num_bytes / 1e6:.1f} MB in {len(store.files)} file(s)",
        "content hash": manifest["content_hash"],
        "verified": "every byte and every row",
    }
    return "\n".join(f"{name + ':':17}{value}" for name, value in lines.items())


def _paired(query: Domain, items: Items) -> int:
    photos = items.instance_id[(items.domain == "photo") & (items.instance_id >= 0)]
    return int((np.isin(items.instance_id, photos) & (items.domain == query)).sum())
