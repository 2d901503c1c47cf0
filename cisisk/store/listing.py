"""Lists of the API: search, sorting and pages."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cisisk.model.errors import Invalid
from cisisk.model.listing import Listing, Page
from cisisk.store.transaction import Read

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSource(Generic[_Item]):
    """A SELECT without WHERE whose rows can be listed.

    Attributes:
        searched: columns or expressions.
        sortable: columns, with the table's name if the SELECT has two of that name; callers omit the table's name.
        sorted_as: by sortable column, another column that gives the order.
        order: the columns of the default order; the last one is unique.
    """

    select: str
    searched: Sequence[str]
    sortable: Sequence[str]
    order: str
    item: Callable[[sqlite3.Row], _Item]
    sorted_as: Mapping[str, str] = field(default_factory=dict)

    def page(self, tx: Read, listing: Listing, where: str = "1", parameters: Sequence[Any] = ()) -> Page[_Item]:
        """Return the requested page of the rows that match ``where``.

        Raises:
            Invalid: ``listing.sort`` names no sortable column.
        """
        conditions, values = [where], list(parameters)
        if listing.q:
            pattern = "%" + listing.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            conditions.append("(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in self.searched) + ")")
            values += [pattern] * len(self.searched)
        matching = f"{self.select} WHERE {' AND '.join(conditions)}"
        cut = "" if listing.limit is None and not listing.offset else " LIMIT ? OFFSET ?"
        bounds = (-1 if listing.limit is None else listing.limit, listing.offset) if cut else ()
        rows = tx.rows(f"{matching} ORDER BY {self._order(listing.sort)}{cut}", [*values, *bounds])
        total = len(rows)
        if cut:
            counted = tx.row(f"SELECT COUNT(*) AS total FROM ({matching})", values)  # noqa: S608 -- own columns only
            total = counted["total"] if counted else 0
        return Page([self.item(row) for row in rows], total)

    def _order(self, sort: str | None) -> str:
        if not sort:
            return self.order
        columns = {column.rpartition(".")[2]: column for column in self.sortable}
        column = columns.get(sort.removeprefix("-"))
        if column is None:
            raise Invalid.field("sort", f"Sort by one of {', '.join(columns)}, with - before it to reverse")
        column = self.sorted_as.get(column, column)
        return f"{column} {'DESC' if sort.startswith('-') else 'ASC'}, {self.order}"
