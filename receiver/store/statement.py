"""Statements of every alert's way: compiled once, and from then on handed to the driver with no more than their values.

The store's queries keep them beside each other and ask them. SQLAlchemy's own way from a statement to its rows takes
many times what SQLite needs to carry one out; what is asked seldom goes that way all the same.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]
Clause = sa.Select[Any] | sa.Insert | sa.Update | sa.TextClause
Row = Any  #: a named tuple of the columns that were asked for
Values = Mapping[str, Any]


class Statement:
    """A statement with named parameters; `columns` are those that an INSERT fills or an UPDATE sets, each a parameter.

    A list for an IN may be of any length.
    """

    def __init__(self, clause: Clause, *, columns: Sequence[str] | None = None) -> None:
        self._clause = clause
        self._columns = columns
        self._begins = not isinstance(clause, sa.TextClause)  #: a transaction; what is in words may be that itself
        self._lists = [each.key for each in _parameters(clause) if each.expanding and each.required]
        self._compiled: dict[tuple[Any, ...], Compiled] = {}

    def all(self, connection: sa.Connection, values: Values) -> list[Row]:
        """Its rows."""
        return self._carry_out(connection, values)[0]

    def first(self, connection: sa.Connection, values: Values) -> Row | None:
        """Its first row."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def scalar(self, connection: sa.Connection, values: Values) -> Any:
        """The first column of its first row; None without one."""
        rows = self.all(connection, values)
        return rows[0][0] if rows else None

    def count(self, connection: sa.Connection, values: Values) -> int:
        """How many rows it changed."""
        return self._carry_out(connection, values)[1]

    def each(self, connection: sa.Connection, rows: Sequence[Values]) -> None:
        """Once for each of these."""
        if rows:
            compiled = self._for(connection, rows[0])
            compiled.execute(connection, [compiled.bind(values) for values in rows], many=True)

    def _carry_out(self, connection: sa.Connection, values: Values) -> tuple[list[Row], int]:
        if self._lists:
            values = {**values, **{name: _padded(values[name]) for name in self._lists}}
        compiled = self._for(connection, values)
        return compiled.execute(connection, compiled.bind(values))

    def _for(self, connection: sa.Connection, values: Values) -> "Compiled":
        if self._begins and not connection.in_transaction():
            connection.begin()
        key = (connection.dialect.name, *[len(values[name]) for name in self._lists])
        found = self._compiled.get(key)
        if found is None:
            lists = {name: values[name] for name in self._lists}
            found = self._compiled[key] = Compiled(self._clause, self._columns, connection.dialect, lists)
        return found


class Compiled:
    """A statement in the words of one kind of database, for lists of one length."""

    def __init__(
        self, clause: Clause, columns: Sequence[str] | None, dialect: sa.Dialect, lists: Mapping[str, Sequence[Any]]
    ) -> None:
        compiler = clause.compile(dialect=dialect, column_keys=columns)
        assert isinstance(compiler, SQLCompiler)
        expanded = compiler.construct_expanded_state({**compiler.params, **lists}, escape_names=False)
        self.text = expanded.statement
        self._order = expanded.positiontup  #: None where the driver takes names
        self._single: list[tuple[str, Convert]] = []
        self._of_lists: list[tuple[str, Sequence[str], Convert]] = []
        self._fixed: dict[str, Any] = {}
        for parameter, name in compiler.bind_names.items():
            convert = parameter.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
            if name in lists:
                self._of_lists.append((name, expanded.parameter_expansion[name], convert))
            elif parameter.required:
                self._single.append((name, convert))
            elif not parameter.literal_execute:  # that one stands in the text
                self._fixed[name] = convert(expanded.parameters[name])
        answer = [] if isinstance(clause, sa.TextClause) else list(clause.exported_columns)
        self._row: Any = namedtuple("Row", [column.key for column in answer], rename=True)  # type: ignore[misc]
        found = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in answer]
        self._converted = [(position, convert) for position, convert in enumerate(found) if convert]

    def bind(self, values: Values) -> Any:
        """The values as the driver takes them."""
        bound = self._fixed.copy()
        for name, convert in self._single:
            bound[name] = convert(values[name])
        for name, parts, convert in self._of_lists:
            bound.update(zip(parts, map(convert, values[name]), strict=True))
        return bound if self._order is None else [bound[name] for name in self._order]

    def execute(self, connection: sa.Connection, bound: Any, *, many: bool = False) -> tuple[list[Row], int]:
        """Rows, and how many were changed."""
        cursor = connection.connection.cursor()
        try:
            if many:
                cursor.executemany(self.text, bound)
            else:
                cursor.execute(self.text, bound)
            found = cursor.fetchall() if cursor.description else []
            return [self._read(row) for row in found], cursor.rowcount
        except connection.dialect.loaded_dbapi.Error as error:
            raise self._told(connection, bound, error, many=many) from error
        finally:
            cursor.close()

    def _read(self, row: Sequence[Any]) -> Row:
        values = list(row)
        for position, convert in self._converted:
            values[position] = convert(values[position])
        return self._row._make(values)

    def _told(self, connection: sa.Connection, bound: Any, error: Exception, *, many: bool) -> Exception:
        """A driver's error as SQLAlchemy would raise it; a connection that is gone is not used again."""
        dialect = connection.dialect
        gone = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
        if gone:
            connection.invalidate(error)
        return sa.exc.DBAPIError.instance(
            self.text,
            bound,
            error,
            dialect.loaded_dbapi.Error,
            connection_invalidated=gone,
            dialect=dialect,
            ismulti=many,
        )


def _parameters(clause: Clause) -> list[sa.BindParameter[Any]]:
    found = (each for each in sa.sql.visitors.iterate(clause) if isinstance(each, sa.BindParameter))
    return list({each.key: each for each in found}.values())


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """As long as the next power of two, by its last value again: so that few lengths come up."""
    wanted = 1 << (len(values) - 1).bit_length() if values else 0
    return [*values, *[values[-1]] * (wanted - len(values))] if values else values


def _as_it_is(value: Any) -> Any:
    return value
