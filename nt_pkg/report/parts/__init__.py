"""The tables and figures of the page, one a module; see `_base`."""
