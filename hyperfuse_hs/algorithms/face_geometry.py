"""Faces of a simplex: which there are, how large, and which way they lie."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Face = tuple[int, ...]


def list_faces(n_components: int, max_face_size: int) -> tuple[Face, ...]:
    """List the faces with at most ``max_face_size`` endmembers, and the whole simplex.

    Parameters
    ----------
    n_components
        Number of endmembers ``p``.
    max_face_size
        Largest number of endmembers of a face, besides the whole simplex.

    Returns
    -------
    tuple of tuple of int
        Sorted by size, then lexically; the last one is the whole simplex.
    """
    sizes = range(1, min(max_face_size, n_components - 1) + 1)
    faces = [face for size in sizes for face in combinations(range(n_components), size)]
    return (*faces, tuple(range(n_components)))


class FaceGeometry(NamedTuple):
    """What the kernel needs to know of every face, padded to the largest one.

    Attributes
    ----------
    members
        Endmembers of each face, ``(F, k)``, padded with -1.
    sizes
        Number of endmembers of each face, ``(F,)``.
    log_volumes
        Logarithm of the ``size - 1`` dimensional volume, ``(F,)``.
    gradients
        ``m``: gradients of the barycentric coordinates, ``(F, k, q)``.
    products
        ``C``: inner products of the gradients, ``(F, k, k)``.
    lengths
        ``g``: lengths of the gradients, ``(F, k)``.
    square_sums
        Sum of the squared lengths, ``(F,)``.
    frames
        Orthonormal tangent vectors of all faces but the whole simplex, ``(q, T)``: columns.
    frame_starts
        The tangent vectors of face ``f`` are ``frame_starts[f]`` to ``frame_starts[f + 1]``.
    frame_origins
        Inner product of each tangent vector with the first endmember of its face, ``(T,)``.
    """

    members: Integers
    sizes: Integers
    log_volumes: Floats
    gradients: Floats
    products: Floats
    lengths: Floats
    square_sums: Floats
    frames: Floats
    frame_starts: Integers
    frame_origins: Floats


def pad_faces(faces: Sequence[Face]) -> tuple[Integers, Integers]:
    """Write faces as one padded array.

    Parameters
    ----------
    faces
        Endmembers of each face.

    Returns
    -------
    members : numpy.ndarray
        ``(F, k)``, padded with -1.
    sizes : numpy.ndarray
        ``(F,)``.
    """
    sizes = np.array([len(face) for face in faces], dtype=np.int64)
    members = np.full((len(faces), sizes.max()), -1, dtype=np.int64)
    for row, face in zip(members, faces, strict=True):
        row[: len(face)] = face
    return members, sizes


def face_geometry(endmembers: Floats, members: Integers, sizes: Integers) -> FaceGeometry:
    """Compute volumes, barycentric gradients and tangent frames of all faces.

    Parameters
    ----------
    endmembers
        ``(p, q)``.
    members, sizes
        Faces as written by :func:`pad_faces`.

    Returns
    -------
    FaceGeometry
        A face without volume has ``log_volumes`` of minus infinity.
    """
    n_faces, width = members.shape
    q = endmembers.shape[1]
    log_volumes = np.zeros(n_faces)
    gradients = np.zeros((n_faces, width, q))
    products = np.zeros((n_faces, width, width))
    frame_sizes = np.where(sizes - 1 == q, 0, sizes - 1)
    starts = np.concatenate([[0], np.cumsum(frame_sizes)]).astype(np.int64)
    frames = np.zeros((q, starts[-1]))
    origins = np.zeros(starts[-1])
    corners = np.ascontiguousarray(endmembers, dtype=np.float64)
    measure_faces(
        corners, members, sizes, starts, log_volumes, gradients, products, frames, origins
    )
    squares = np.diagonal(products, axis1=1, axis2=2)
    return FaceGeometry(
        members,
        sizes,
        log_volumes,
        gradients,
        products,
        np.sqrt(squares),
        squares.sum(axis=1),
        frames,
        starts,
        origins,
    )


@compiled(error_model="numpy")
def measure_faces(
    endmembers: Floats,
    members: Integers,
    sizes: Integers,
    starts: Integers,
    log_volumes: Floats,
    gradients: Floats,
    products: Floats,
    frames: Floats,
    origins: Floats,
) -> None:
    """Fill what :class:`FaceGeometry` holds of every face.

    The searches ask for it so often that many small calls of linear algebra would take longer than
    the likelihood. The edges are made orthogonal one after the other (Gram and Schmidt), each
    twice, which is enough to hold however thin the face is.
    """
    width, q = members.shape[1], endmembers.shape[1]
    tangents = np.empty((width, q))
    triangle = np.empty((width, width))
    for f in range(len(sizes)):
        n_edges = sizes[f] - 1
        origin = members[f, 0]
        for i in range(n_edges):
            for d in range(q):
                tangents[i, d] = endmembers[members[f, i + 1], d] - endmembers[origin, d]
            triangle[:i, i] = 0.0
            for _ in range(2):
                for j in range(i):
                    along = 0.0
                    for d in range(q):
                        along += tangents[j, d] * tangents[i, d]
                    triangle[j, i] += along
                    for d in range(q):
                        tangents[i, d] -= along * tangents[j, d]
            length = 0.0
            for d in range(q):
                length += tangents[i, d] * tangents[i, d]
            length = math.sqrt(length)
            triangle[i, i] = length
            log_volumes[f] += math.log(length) if length > 0.0 else -np.inf
            for d in range(q):
                tangents[i, d] /= length
        if n_edges == 0 or log_volumes[f] == -np.inf:
            continue
        log_volumes[f] -= math.lgamma(sizes[f])
        for i in range(n_edges - 1, -1, -1):
            for d in range(q):
                total = tangents[i, d]
                for j in range(i + 1, n_edges):
                    total -= triangle[i, j] * gradients[f, j + 1, d]
                gradients[f, i + 1, d] = total / triangle[i, i]
                gradients[f, 0, d] -= gradients[f, i + 1, d]
        for i in range(n_edges + 1):
            for j in range(n_edges + 1):
                for d in range(q):
                    products[f, i, j] += gradients[f, i, d] * gradients[f, j, d]
        for t in range(starts[f], starts[f + 1]):
            for d in range(q):
                frames[d, t] = tangents[t - starts[f], d]
                origins[t] += tangents[t - starts[f], d] * endmembers[origin, d]
