"""Rows of a city folder's files as text: what a command writes back is what the reader reads."""

from collections.abc import Iterable, Sequence

from city_adapters.network import Network


def links_text(network: Network, columns: Sequence[str]) -> str:
    """Write links.csv."""
    return table_text(
        columns,
        (
            (
                *(link.line_id, link.from_id, link.to_id, str(link.distance_m), str(link.source_m), link.reason, link.rate_class),
                *(link.provenance.confidence, link.provenance.as_of.isoformat()),
            )
            for link in network.links
        ),
    )


def earlier_links_text(network: Network, columns: Sequence[str]) -> str:
    """Write earlier-links.csv."""
    return table_text(
        columns,
        (
            (
                *(str(row.network), row.line_id, row.from_id, row.to_id, str(row.distance_m or ""), str(row.source_m or "")),
                *(row.reason, row.provenance.confidence, row.provenance.as_of.isoformat()),
            )
            for row in network.earlier
        ),
    )


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a CSV file: its columns, and a line for each row."""
    return "".join(",".join(map(_field, row)) + "\n" for row in (columns, *rows))


def _field(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(sign in text for sign in ',"\n') else text
