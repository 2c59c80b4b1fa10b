"""The report as one HTML page: plain values in, one string out, nothing loaded from anywhere.

`content` says what a page holds, `tables` makes its tables from the JSON of `atrkit eval`, `render` writes it.
"""
