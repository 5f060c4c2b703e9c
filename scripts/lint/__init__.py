"""The repository's own static checks, which scripts/lint.sh runs beside the usual tools."""
