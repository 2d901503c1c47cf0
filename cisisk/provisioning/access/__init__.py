"""Access control: a phone's own files are served at that phone's address only, and searches for them are throttled."""
