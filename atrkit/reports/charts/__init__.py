"""Charts of the report: inline SVG, each with its numbers in a table and what one reads off it in words.

Every chart is a pure function from numbers. Colours are CSS variables of the page, so that one drawing serves dark
and light; series differ by dash, marker or label, too.
"""
