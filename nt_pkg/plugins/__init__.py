"""Plug-ins: found by the name of their module."""
