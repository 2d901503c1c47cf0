"""Who somebody is: passwords, PINs, tokens, login sessions and the brake on guessing."""
