"""The pages that running phones request over plain HTTP."""
