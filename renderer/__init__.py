"""From indexed settings to validated gateway configuration files."""
