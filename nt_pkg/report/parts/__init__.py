"""The tables and figures of the page, one per module; see `_base`."""
