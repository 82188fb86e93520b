"""`id__among=[…]`: what `id__in` asks, for hundreds of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models.lookups import In

if TYPE_CHECKING:
    AnyIn = In[Any]
else:  # generic in the stubs only
    AnyIn = In


class Among(AnyIn):
    """One array parameter on PostgreSQL.

    A placeholder for each of 500 ids takes as long again as the UPDATE itself."""

    lookup_name = "among"

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*parameters, self.rhs]
