"""Every face with every way in which abundances spread over it, and how frequent each is."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hyperfuse_hs.algorithms.face_geometry import Face, Floats, Integers, pad_faces
from hyperfuse_hs.algorithms.face_tables import LARGEST, ExponentTables, exponent_tables

EXPONENTS = (0.5, 1.0, 2.0, 4.0)
"""From abundances that keep to the corners to such that keep to the middle. Below, a distribution
has nearly all of its positions nearer to the border than the noise, as the face there has."""

STRENGTH = 10.0
"""Positions that the distribution common to all faces of one size counts for on each face."""

STEPS = 100
"""Of the expectation maximisation, most triples of them."""

LEAST_STRETCH = 1.1
"""Of steps that are worth it; one is a plain step."""


@dataclass(frozen=True)
class FacePrior:
    """Every face with every exponent, ``J`` in all.

    Attributes
    ----------
    faces
        Components of each face, ``F`` in all.
    members, sizes
        The same as arrays, see :func:`~hyperfuse_hs.algorithms.face_geometry.pad_faces`.
    owner, column
        Face, and number of the exponent, ``(J,)``.
    groups
        Row of the tables, ``(J,)``.
    tables
        Of the exponents, for each size of face.
    alive
        Whether there may be positions on a face, ``(F,)``.
    """

    faces: tuple[Face, ...]
    members: Integers
    sizes: Integers
    owner: Integers
    column: Integers
    groups: Integers
    tables: ExponentTables
    alive: np.ndarray

    @property
    def starts(self) -> Integers:
        """Where each face begins, ``(F,)``."""
        return np.flatnonzero(np.diff(self.owner, prepend=-1))

    @property
    def even(self) -> Floats:
        """Shares ``(J,)`` that are equal wherever there may be positions."""
        alive = self.alive[self.owner]
        return np.asarray(alive / np.count_nonzero(alive))

    def table(self, values: Floats) -> Floats:
        """Write values ``(J,)`` by face and exponent, ``(F, E)``."""
        result = np.zeros((len(self.faces), len(EXPONENTS)))
        result[self.owner, self.column] = values
        return result


def make_prior(faces: tuple[Face, ...], alive: np.ndarray) -> FacePrior:
    """List every face with every exponent.

    Parameters
    ----------
    faces
        Components of each face, by size.
    alive
        Whether there may be positions on a face, ``(F,)``.

    Returns
    -------
    FacePrior
        Single endmembers have no exponent, and are listed once.
    """
    members, sizes = pad_faces(faces)
    counts = np.where(sizes > 1, len(EXPONENTS), 1)
    owner = np.repeat(np.arange(len(faces)), counts)
    column = np.concatenate([np.arange(count) for count in counts])
    larger = np.unique(sizes[sizes > 1])
    exponents = [min(a, LARGEST / size) for size in larger for a in EXPONENTS]
    tables = exponent_tables(np.array(exponents), np.repeat(larger, len(EXPONENTS)))
    groups = np.searchsorted(larger, sizes[owner]) * len(EXPONENTS) + column
    return FacePrior(faces, members, sizes, owner, column, groups, tables, alive)


def learn_shares(
    found: sparse.csr_array, prior: FacePrior, start: Floats, tolerance: float
) -> Floats:
    """Maximise the posterior of the shares.

    Expectation maximisation leaves a border slowly where the data say little, so its steps are
    lengthened (squared extrapolation, Varadhan & Roland, Scand. J. Stat. 35, 335 (2008)).

    Parameters
    ----------
    found
        ``(n, J)`` probability of each face and exponent, were all as frequent.
    prior
        Faces and exponents.
    start
        Shares to start from, ``(J,)``, above zero wherever there may be positions.
    tolerance
        Change of a share that ends it.

    Returns
    -------
    numpy.ndarray
        ``(J,)``, of sum one.
    """
    turned = found.T.tocsr()

    def step(shares: Floats) -> Floats:
        return draw_together(shares * (turned @ (1.0 / (found @ shares))), prior)

    alive = prior.alive[prior.owner]
    shares = start
    for _ in range(STEPS):
        once = step(shares)
        twice = step(once)
        change, bend = once - shares, twice - 2.0 * once + shares
        stretch = np.linalg.norm(change) / max(float(np.linalg.norm(bend)), 1e-300)
        last, shares = shares, twice
        while stretch > LEAST_STRETCH:
            far = last + 2.0 * stretch * change + stretch**2 * bend
            if np.all(far[alive] > 0):
                shares = step(far / far.sum())
                break
            stretch = 0.5 * (stretch + 1.0)
        if np.abs(once - last).max() < tolerance:
            break
    return shares


def draw_together(counts: Floats, prior: FacePrior) -> Floats:
    """Turn expected numbers of positions into shares, those of faces of one size alike.

    Parameters
    ----------
    counts
        ``(J,)``.
    prior
        Faces and exponents.

    Returns
    -------
    numpy.ndarray
        ``(J,)``, of sum one.
    """
    sizes = prior.sizes
    table = prior.table(counts)
    # One position in all over the faces, so that no face is lost for good.
    of_faces = np.where(prior.alive, table.sum(axis=1) + 1.0 / len(sizes), 0.0)
    within = np.zeros(table.shape)
    within[:, 0] = 1.0
    for size in np.unique(sizes[sizes > 1]):
        alike = sizes == size
        common = table[alike].sum(axis=0) + 1.0 / len(EXPONENTS)
        towards = table[alike] + STRENGTH * common / common.sum()
        within[alike] = towards / towards.sum(axis=1, keepdims=True)
    shares = (of_faces / of_faces.sum())[:, None] * within
    return np.asarray(shares[prior.owner, prior.column])
