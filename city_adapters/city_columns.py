"""The columns of the CSV files of a city's folder, as docs/formats/city-folder.md tells them."""

SOURCED = ("confidence", "as_of")
STATION_COLUMNS = ("number", "station_id", "name_zh", "name_en", "name_en_confidence", "lon", "lat", *SOURCED)
LINE_COLUMNS = ("line_id", "name_zh", "name_en", "kind", "colour", "operator", "operator_confidence", *SOURCED)
LINK_COLUMNS = ("line_id", "from_id", "to_id", "distance_m", "source_m", "reason", "rate_class", *SOURCED)
TRANSFER_COLUMNS = ("from_id", "to_id", "from_line", "to_line", "kind", "joins_fares", "time_limit_min", *SOURCED)
OPERATOR_COLUMNS = ("number", "name_zh", "name_en", *SOURCED)
EXAMPLE_COLUMNS = ("from_id", "to_id", "distance_m", "fare_fen", "source", *SOURCED)
GATE_COLUMNS = ("station_id", "line_id", "from_gate", "to_gate", *SOURCED)
DAY_COLUMNS = ("date", "day", *SOURCED)
