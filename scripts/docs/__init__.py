"""The documentation as a site: built from `docs/` by MkDocs, and checked."""
