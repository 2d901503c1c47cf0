"""The mark by which Babel finds the texts to translate."""


def N_(template: str) -> str:  # noqa: N802 -- the name that Babel looks for
    """Return ``template`` as it is; :func:`cisisk.model.messages.render` translates it when it shows it."""
    return template
