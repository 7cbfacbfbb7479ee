"""Select reasoning traces, distil them into students and measure what was gained."""

__version__ = "0.1.0"
