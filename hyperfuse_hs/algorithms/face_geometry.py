"""Faces of a simplex: which there are, how large, and which way they lie."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    frame_sizes = np.where(sizes - 1 == q, 0, sizes - 1)
    starts = np.concatenate([[0], np.cumsum(frame_sizes)]).astype(np.int64)
    frames = np.zeros((starts[-1], q))
    origins = np.zeros(starts[-1])
    for size in np.unique(sizes):
        if size == 1:
            continue
        chosen = np.flatnonzero(sizes == size)
        corners = endmembers[members[chosen, :size]]
        edges = corners[:, 1:] - corners[:, :1]
        basis, triangle = np.linalg.qr(edges.transpose(0, 2, 1))
        diagonal = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
        if diagonal.min() == 0.0:
            log_volumes[chosen] = -np.inf
            continue
        log_volumes[chosen] = np.log(diagonal).sum(axis=1) - math.lgamma(size)
        inverse = np.linalg.inv(triangle) @ basis.transpose(0, 2, 1)
        gradients[chosen, 1:size] = inverse
        gradients[chosen, 0] = -inverse.sum(axis=1)
        if size - 1 < q:
            rows = (starts[chosen, None] + np.arange(size - 1)).ravel()
            tangents = basis.transpose(0, 2, 1)
            frames[rows] = tangents.reshape(-1, q)
            origins[rows] = (tangents @ corners[:, 0, :, None]).ravel()
    products = gradients @ gradients.transpose(0, 2, 1)
    squares = np.diagonal(products, axis1=1, axis2=2)
    return FaceGeometry(
        members,
        sizes,
        log_volumes,
        gradients,
        products,
        np.sqrt(squares),
        squares.sum(axis=1),
        np.ascontiguousarray(frames.T),
        starts,
        origins,
    )
