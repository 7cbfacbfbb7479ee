"""The report of a study: statistics, tables, figures and one self-contained page.

Entry point: `nt_pkg.report.build.build_report`.
"""
