"""Where the electrons' path leads: spheres in projection, and a lacey film with holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

# The probe averages over 3 x 3 points of its pixel.
_SUBPIXELS = np.array([-1.0, 0.0, 1.0]) / 3.0


def sphere_paths(
    centres: NDArray[np.float64], radii: NDArray[np.float64], scan: tuple[int, int], step: float
) -> sparse.csr_array:
    """
    Path of the beam through each sphere, averaged over each pixel of the scan.

    Parameters
    ----------
    centres
        Shape ``(n, 2)``: (y, x) in nm; the first probe position is at the origin.
    radii
        Shape ``(n,)``, in nm.
    scan
        Probe positions, (rows, columns).
    step
        Distance of probe positions in nm.

    Returns
    -------
    sparse array
        Shape ``(rows * columns, n)``: path in nm.
    """
    columns = [_sphere_path(*pair, scan, step) for pair in zip(centres, radii, strict=True)]
    pixel = np.concatenate([index for index, _ in columns])
    path = np.concatenate([values for _, values in columns])
    sphere = np.repeat(np.arange(len(radii)), [len(index) for index, _ in columns])
    shape = (scan[0] * scan[1], len(radii))
    return sparse.csr_array(sparse.coo_array((path, (pixel, sphere)), shape=shape))


def _sphere_path(
    centre: NDArray[np.float64], radius: float, scan: tuple[int, int], step: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Flat indices of the pixels that a sphere covers, and its path (nm) in each."""
    first = np.maximum(np.floor((centre - radius) / step - 0.5), 0).astype(np.intp)
    last = np.minimum(np.ceil((centre + radius) / step + 0.5), np.array(scan) - 1).astype(np.intp)
    y, x = (np.arange(a, b + 1) for a, b in zip(first, last, strict=True))
    dy = (y[:, np.newaxis] + _SUBPIXELS) * step - centre[0]
    dx = (x[:, np.newaxis] + _SUBPIXELS) * step - centre[1]
    squared = dy[:, np.newaxis, :, np.newaxis] ** 2 + dx[np.newaxis, :, np.newaxis, :] ** 2
    path = 2.0 * np.sqrt(np.maximum(radius**2 - squared, 0.0)).mean(axis=(2, 3))
    flat = y[:, np.newaxis] * scan[1] + x
    covered = path > 0
    return flat[covered], path[covered]


def lacey_film(
    rng: np.random.Generator,
    scan: tuple[int, int],
    step: float,
    *,
    hole_spacing: float,
    strand_width: float,
    thickness: float,
) -> NDArray[np.float64]:
    """
    Draw a lacey film: a web of rounded strands around irregular holes.

    The strands follow the borders of Voronoi cells. A strand is an ellipse in cross-section.

    Parameters
    ----------
    rng
        Random numbers for the places of the holes.
    scan
        Probe positions, (rows, columns).
    step
        Distance of probe positions in nm.
    hole_spacing
        Mean distance of the centres of holes in nm.
    strand_width
        Mean width of a strand in nm.
    thickness
        Thickness in the middle of a strand in nm.

    Returns
    -------
    ndarray
        Shape ``scan``: thickness in nm, averaged over each pixel.
    """
    size = np.array(scan) * step
    # Cells around the scan as well, so that its rim is like its middle.
    n_cells = int(np.ceil(np.prod(size + 4 * hole_spacing) / hole_spacing**2))
    cells = rng.uniform(-2 * hole_spacing, size + 2 * hole_spacing, (n_cells, 2))
    half_width = strand_width / 2 * rng.uniform(0.7, 1.3, n_cells)
    y = (np.arange(scan[0])[:, np.newaxis] + _SUBPIXELS).ravel() * step
    x = (np.arange(scan[1])[:, np.newaxis] + _SUBPIXELS).ravel() * step
    points = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    distance, cell = cKDTree(cells).query(points, k=2)
    between = np.linalg.norm(cells[cell[..., 0]] - cells[cell[..., 1]], axis=-1)
    to_border = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2 * between)
    relative = to_border / half_width[cell].mean(axis=-1)
    film = thickness * np.sqrt(np.maximum(1.0 - relative**2, 0.0))
    return film.reshape(scan[0], 3, scan[1], 3).mean(axis=(1, 3))


def places_near(
    rng: np.random.Generator, film: NDArray[np.float64], step: float, radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Draw random places of particles that touch a film (they may hang over its holes).

    Parameters
    ----------
    rng
        Random numbers.
    film
        Thickness of the film at each probe position, ``(rows, columns)``.
    step
        Distance of probe positions in nm.
    radii
        Radius of each particle in nm, shape ``(n,)``.

    Returns
    -------
    ndarray
        Shape ``(n, 2)``: centres (y, x) in nm.
    """
    support = cKDTree(np.argwhere(film > 0) * step)
    centres = np.empty((len(radii), 2))
    waiting = np.arange(len(radii))
    while len(waiting):
        trial = rng.uniform(-0.5, np.array(film.shape) - 0.5, (len(waiting), 2)) * step
        centres[waiting] = trial
        waiting = waiting[support.query(trial)[0] > radii[waiting]]
    return centres


def random_rotations(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """
    Draw rotations uniformly from the whole group.

    Parameters
    ----------
    rng
        Random numbers.
    n
        Number of rotations.

    Returns
    -------
    ndarray
        Shape ``(n, 3, 3)``. From normalised Gaussian quaternions (K. Shoemake, 1992).
    """
    quaternion = rng.standard_normal((n, 4))
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
