"""Reports: values in, bytes out."""
