"""Parquet, row group by row group, so that memory stays flat."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from penjing.base.errors import DataError, needs_extra
from penjing.base.readers.opened import BLOCK, opened
from penjing.base.readers.source import Problems, Record, Source

ROWS = 1024  # rows turned into records at once


@contextlib.contextmanager
def parquet_file(source: Source) -> Iterator[Any]:
    """The open file; one that is packed is unpacked beside memory, in a temporary file."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        needs_extra("pyarrow", "data", "Reading Parquet files")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened(source))
        if source.packing:
            plain = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, plain, BLOCK)
            plain.seek(0)
            file = plain
        try:
            yield stack.enter_context(parquet.ParquetFile(file))
        except arrow.ArrowException as error:
            raise DataError("P-DATA-016", file=source.path, reason=error) from error


def read_parquet(source: Source, problems: Problems) -> Iterator[Record]:
    """Rows as records, numbered from 1. NaN is null: pandas writes it where a column of numbers has a gap."""
    file, number = str(source.path), 0
    with parquet_file(source) as table:
        yield Record(dict.fromkeys(table.schema_arrow.names), file, 0)  # the header itself: line 0
        floats = [field.name for field in table.schema_arrow if str(field.type) in ("double", "float", "halffloat")]
        for batch in table.iter_batches(batch_size=ROWS):
            for row in batch.to_pylist():
                number += 1
                row.update((name, None) for name in floats if row[name] != row[name])
                yield Record(row, file, number)
