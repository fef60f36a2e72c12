"""Small signals of one scan, the variables of a session, and tools for both."""

import dask.array as da
import hyperspy.api as hs
import numpy as np

from hyperfuse_hs.gui.tool import Fuser

SCAN = (12, 10)


def counts(seed, channels, scan=SCAN, p=3):
    """Return Poisson counts of mixtures; the abundances are the same for every seed."""
    mixtures = np.random.default_rng(9).dirichlet(np.full(p, 0.4), int(np.prod(scan)))
    rng = np.random.default_rng(seed)
    return rng.poisson(mixtures @ rng.uniform(5, 90, (p, channels))).reshape(*scan, channels)


def titled(signal, title):
    signal.metadata.General.title = title
    return signal


def make_session():
    """Return variables as a user has them: signals that fit and others, masks and more."""
    vacuum = np.zeros(SCAN, dtype=bool)
    vacuum[:2, :2] = True
    return {
        "s_a": titled(hs.signals.Signal1D(counts(0, 24)), "a"),
        "s_b": titled(hs.signals.Signal1D(counts(1, 18)), "b"),
        "s_4d": titled(hs.signals.Signal2D(counts(2, 36).reshape(*SCAN, 6, 6)), "patterns"),
        "haadf": titled(hs.signals.Signal2D(counts(3, 1)[..., 0]), "haadf"),
        "small": titled(hs.signals.Signal1D(counts(4, 18)[:, :5]), "small"),
        "vacuum": hs.signals.Signal2D(vacuum).T,
        "hot": np.arange(24) == 3,
        "variance": np.full(24, 30.0),
        "thickness": np.ones(SCAN),
        "number": 3,
        "In": ["s_a.fuse()"],
        "_1": titled(hs.signals.Signal1D(counts(5, 18)), "of the history"),
    }


def make_tool(session, *names, **options):
    """Return the tool as ``session[names[0]].fuse(*others, **options)`` would open it.

    With a quick method, unless another one is given.
    """
    given = {"n_components": 3, "unmixing": "vertex", **options}
    return Fuser([session[name] for name in names or ("s_a",)], variables=session, **given)


def candidate(tool, variable):
    return next(item for item in tool.candidates if item.variable == variable)


class Reads:
    """A lazy copy of a signal that counts how often a chunk is read, and may wait or fail.

    Parameters
    ----------
    signal
        To copy.
    before
        Called with the number of the read before it.
    """

    def __init__(self, signal, before=lambda count: None):
        self.count = 0

        def read(block):
            self.count += 1
            before(self.count)
            return block

        chunks = (2, *signal.data.shape[1:])
        array = da.from_array(signal.data, chunks=chunks)
        lazy = array.map_blocks(read, dtype=array.dtype, meta=np.empty(0, array.dtype))
        self.signal = signal._deepcopy_with_new_data(lazy).as_lazy()
