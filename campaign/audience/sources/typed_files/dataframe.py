"""Sources of Parquet, Stata and SAS files, read through pandas in batches of rows.

A Parquet batch keeps its Arrow types instead of those that pandas infers, so integers in a column with missing values
stay integers, decimals stay exact and dates stay dates. Everything is a plain value before it leaves this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.audience.columns.template_names import named_columns
from campaign.audience.sources.cell_values import chunk_of
from campaign.audience.sources.row_chunks import CHUNK_ROWS, Chunk
from campaign.audience.sources.source_file import identity
from campaign.errors import ConfigError, InputError, install_extra

if TYPE_CHECKING:
    import pandas as pd


#: Bytes of one Parquet row group, unpacked, at most: it is read whole, column by column.
GROUP = 2 << 30
#: Rows a Parquet file may always have; a file with more needs at least one byte for each, as addresses all differ.
ROWS = 1_000_000


class FrameFile:
    """A file that pandas reads in batches; rows are numbered from 1."""

    value_type = "any"

    def __init__(self, path: Path, name: str = "") -> None:
        self.path, self.name = path, name or path.name
        self.notes: tuple[str, ...] = (f"{path.suffix[1:]} through pandas",)
        with contextlib.closing(self._frames()) as frames:
            self.columns = named_columns([str(name) for name in next(frames).columns], self.name)

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """No rows: the file's metadata names the columns."""
        return iter(())

    def chunks(self) -> Iterator[Chunk]:
        """The rows in the file's order."""
        first = 1
        with contextlib.closing(self._frames()) as frames:
            for frame in frames:
                columns = [_cells(frame.iloc[:, at]) for at in range(frame.shape[1])]
                yield chunk_of(zip(*columns, strict=True), first)
                first += len(frame)

    def _frames(self) -> Generator[Any]:
        """Frames of at most `CHUNK_ROWS` rows; the first may be empty, and names the columns."""
        reading = _parquet if self.path.suffix.lower() == ".parquet" else _statistics
        try:
            yield from reading(self.path)
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise InputError(
                f"{self.path} cannot be read as {self.path.suffix[1:]}.",
                evidence=str(error)[:500],
                next_step="check that the file is whole, or save it as CSV (UTF-8)",
            ) from None


def _parquet(path: Path) -> Iterator[pd.DataFrame]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("Parquet files need a library.", next_step=install_extra("parquet")) from None
    import pandas as pd

    with pyarrow.parquet.ParquetFile(path) as file:
        _refuse_bombs(path, file.metadata)
        yield file.schema_arrow.empty_table().to_pandas(types_mapper=pd.ArrowDtype)
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            yield batch.to_pandas(types_mapper=pd.ArrowDtype)


def parquet_rows(path: Path) -> int:
    """How many rows a Parquet file says that it has."""
    import pyarrow.parquet

    return int(pyarrow.parquet.read_metadata(path).num_rows)


def _refuse_bombs(path: Path, metadata: Any) -> None:
    """Check the sizes in the file's metadata, which the library enforces, before anything is unpacked."""
    largest = max((metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)), default=0)
    if metadata.num_rows > max(ROWS, path.stat().st_size):
        found = f"it says that it has {metadata.num_rows:,} rows in {path.stat().st_size:,} bytes"
    elif largest > GROUP:
        found = f"one of its row groups unpacks to {largest / 2**30:.1f} GB; at most {GROUP >> 30} GB may be"
    else:
        return
    raise InputError(
        f"{path} is too large to be read as Parquet.",
        evidence=found,
        next_step="write it again with smaller row groups and without empty rows, or save it as CSV (UTF-8)",
    )


def _statistics(path: Path) -> Iterator[pd.DataFrame]:
    import pandas as pd

    if path.suffix.lower() == ".dta":
        with pd.read_stata(path, chunksize=CHUNK_ROWS, convert_categoricals=False) as reader:
            yield from reader
    else:
        with pd.read_sas(path, chunksize=CHUNK_ROWS, encoding="utf-8") as reader:
            yield from reader


def _cells(column: pd.Series[Any]) -> list[object]:
    return [None if missing else cell for cell, missing in zip(column.tolist(), column.isna(), strict=True)]
