"""What things are. Pure: no input or output, no asyncio, no framework."""
