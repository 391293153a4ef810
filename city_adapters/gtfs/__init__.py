"""A GTFS feed read into the files of a city's folder: values in, values out."""
