"""The pure fold: numbers in, numbers out; no clock, no disk, no float."""
