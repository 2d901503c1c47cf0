"""Authentication: passwords, PINs, tokens, login sessions and throttling of failed attempts."""
