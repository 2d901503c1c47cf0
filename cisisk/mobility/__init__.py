"""The switch: deploys a profile to a phone, and observes the result."""
