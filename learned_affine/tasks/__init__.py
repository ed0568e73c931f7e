"""The user's model and data: what an output is, and what it costs in nats for each image."""
