"""The operations, one module per resource: parse, call one function below, render."""
