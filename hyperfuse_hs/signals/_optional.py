"""The message for a signal class whose native class cannot be imported."""


def needs(package: str, signal_types: tuple[str, ...], error: ImportError) -> ImportError:
    """Return the error to raise where the optional `package` cannot be imported.

    Parameters
    ----------
    package
        Name of the package and of the extra that installs it, e.g. ``"exspy"``.
    signal_types
        The signal types that are not available without it.
    error
        What Python said; repeated in the message, since a package can also be there but broken.

    Returns
    -------
    ImportError
        States which types were asked for, what is missing and how to install it.

    Examples
    --------
    >>> print(needs("exspy", ("hypermodal_EELS",), ImportError("No module named 'exspy'")))
    The signal type 'hypermodal_EELS' needs the package exspy, which could not be imported \
(No module named 'exspy'). Install it with: pip install "hyperfuse_hs[exspy]"
    """
    kind = "signal type" if len(signal_types) == 1 else "signal types"
    names = " and ".join(repr(name) for name in signal_types)
    verb = "needs" if len(signal_types) == 1 else "need"
    return ImportError(
        f"The {kind} {names} {verb} the package {package}, which could not be imported ({error}). "
        f'Install it with: pip install "hyperfuse_hs[{package}]"'
    )
