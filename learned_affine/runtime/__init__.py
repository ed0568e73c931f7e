"""What any training loop needs, and nothing about policies."""
