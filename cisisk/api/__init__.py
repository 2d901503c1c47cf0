"""/api/v1: handlers translate, they do not decide."""
