"""What requests and responses look like, one module per resource."""
