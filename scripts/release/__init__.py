"""What a release needs of the repository."""
