"""What Django works out anew for every statement though it never changes, worked out once.

Composing statements takes the simulation longer than the database takes to execute them. The
statements, their parameters and what is read of their rows stay the same: here is kept only what
follows from a model, a field or a moment alone. Whatever is less simple goes Django's own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from typing import Any
from unittest.mock import patch

import httpx
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models.expressions import Col
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.query import Query
from django.db.models.sql.where import WhereNode
from django.utils.connection import ConnectionProxy

MOMENTS = 10_000  # kept of each run and the one before

get_select, get_converters = SQLCompiler.get_select, SQLCompiler.get_converters
names_to_path, solve_lookup = Query.names_to_path, Query.solve_lookup_type
resolve_column, extract_cookies = Col.resolve_expression, httpx.Cookies.extract_cookies
split_having = WhereNode.split_having_qualify
get_attribute = ConnectionProxy.__getattr__
_selects: dict[type, tuple[str, list[Any], dict[str, Any]]] = {}
_converters: dict[tuple[int, int], tuple[Col, list[Any]]] = {}  # by ids of fields the column keeps
_paths: dict[Any, tuple[Any, ...]] = {}
_lookups: dict[tuple[type, str], tuple[Any, ...]] = {}


@contextmanager
def worked_out_once() -> Iterator[None]:
    with ExitStack() as stack:
        put = patch.object
        for holder, name, replacement in (
            (SQLCompiler, "get_select", _get_select),
            (SQLCompiler, "get_converters", _get_converters),
            (Query, "names_to_path", _names_to_path),
            (Query, "solve_lookup_type", _solve_lookup),
            (Col, "resolve_expression", _resolve_column),
            (WhereNode, "split_having_qualify", _split_having),
            (ConnectionProxy, "__getattr__", _get_attribute),
            (httpx.Cookies, "extract_cookies", _extract_cookies),
        ):
            stack.enter_context(put(holder, name, replacement))
        for name in ("contains_aggregate", "contains_over_clause"):
            stack.enter_context(put(Col, name, False))  # it contains no other expression
        for name in ("cursor", "ensure_connection", "commit", "rollback"):
            guarded = getattr(BaseDatabaseWrapper, name)  # against event loops; none runs here
            bare = getattr(guarded, "__wrapped__", guarded)
            stack.enter_context(put(BaseDatabaseWrapper, name, bare))
        for name, replacement in _operations(connection.ops).items():
            stack.enter_context(put(connection.ops, name, replacement))
        yield


@cache
def _operations(ops: BaseDatabaseOperations) -> dict[str, Any]:
    """Functions of their arguments alone: one moment, one id is written and read many times."""
    found = {"quote_name": cache(ops.quote_name)}
    if connection.vendor == "sqlite":
        of_moment = ops.convert_datetimefield_value
        of_id = ops.convert_uuidfield_value
        read_moment = lru_cache(MOMENTS)(lambda value: of_moment(value, None, connection))
        read_id = lru_cache(MOMENTS)(lambda value: of_id(value, None, connection))
        found |= {
            "adapt_datetimefield_value": lru_cache(MOMENTS)(ops.adapt_datetimefield_value),
            "convert_datetimefield_value": lambda value, *_: read_moment(value),
            "convert_uuidfield_value": lambda value, *_: read_id(value),
        }
    return found


def _get_attribute(proxy: ConnectionProxy, name: str) -> Any:
    if proxy is connection:
        return getattr(connections._connections.default, name)
    return get_attribute(proxy, name)


def _resolve_column(column: Col, *where: Any, **how: Any) -> Col:
    """A column is resolved already; Django makes a copy before each lookup of its SQL."""
    return resolve_column(column, *where, **how) if len(where) > 1 or how else column


def _names_to_path(
    query: Query,
    names: Sequence[str],
    opts: Any,
    allow_many: bool = True,
    fail_on_missing: bool = False,
) -> tuple[Any, ...]:
    if query.annotations or query._filtered_relations:
        return names_to_path(query, names, opts, allow_many, fail_on_missing)
    key = opts, tuple(names), allow_many, fail_on_missing
    if key not in _paths:
        _paths[key] = names_to_path(query, names, opts, allow_many, fail_on_missing)
    path, field, targets, rest = _paths[key]
    return [*path], field, targets, [*rest]


def _solve_lookup(query: Query, lookup: str, summarize: bool = False) -> tuple[Any, ...]:
    if query.annotations or query._filtered_relations:
        return solve_lookup(query, lookup, summarize)
    if (query.model, lookup) not in _lookups:
        _lookups[query.model, lookup] = solve_lookup(query, lookup, summarize)
    lookups, fields, expression = _lookups[query.model, lookup]
    return [*lookups], [*fields], expression


def _extract_cookies(cookies: httpx.Cookies, response: httpx.Response) -> None:
    """Metronome sets none, and a jar takes a request apart to find that out."""
    if any(name.lower() == b"set-cookie" for name, _ in response.headers.raw):
        extract_cookies(cookies, response)


def _get_select(compiler: SQLCompiler, with_col_aliases: bool = False) -> tuple[Any, ...]:
    """The columns of a query for whole rows of one table."""
    query = compiler.query
    model = query.model
    if (
        with_col_aliases
        or not query.default_cols
        or query.select_related
        or query.annotations
        or query.extra
        or query.selected is not None
        or query.deferred_loading[0]
        or model._meta.parents
    ):
        return get_select(compiler, with_col_aliases)
    if model not in _selects:
        select, klass_info, _ = get_select(compiler)
        _selects[model] = query.base_table, select, klass_info
        return [*select], {**klass_info}, {}
    table, select, klass_info = _selects[model]
    if query.alias_map and query.base_table != table:
        return get_select(compiler)
    query.get_initial_alias()
    return [*select], {**klass_info}, {}


def _get_converters(compiler: SQLCompiler, expressions: Sequence[Any]) -> dict[int, Any]:
    found = {}
    for number, expression in enumerate(expressions):
        if type(expression) is not Col:
            return get_converters(compiler, expressions)
        if converters := _of_column(compiler, expression):
            found[number] = converters, expression
    return found


def _of_column(compiler: SQLCompiler, column: Col) -> list[Any]:
    fields = id(column.target), id(column.output_field)
    if fields not in _converters:
        of_backend = compiler.connection.ops.get_db_converters(column)
        _converters[fields] = column, of_backend + column.get_db_converters(compiler.connection)
    return _converters[fields][1]


def _split_having(where: WhereNode, *args: Any, **options: Any) -> tuple[Any, Any, Any]:
    if _is_plain(where):
        return where, None, None
    return split_having(where, *args, **options)


def _is_plain(where: WhereNode) -> bool:
    """Whether it compares columns and nothing else, so that nothing is left for HAVING."""
    for child in where.children:
        if type(child) is WhereNode:
            if not _is_plain(child):
                return False
            continue
        if type(getattr(child, "lhs", None)) is not Col or hasattr(child.rhs, "contains_aggregate"):
            return False
    return True
