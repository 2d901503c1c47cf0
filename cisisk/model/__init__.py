"""The domain: phones, profiles, users, configs, and the rules about them. No I/O, no asyncio, no framework."""
