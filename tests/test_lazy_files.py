"""Data that RosettaSciIO leaves on disk: formats, reading, and what comes of them."""

import logging
import signal
import threading
import time

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs.signals import templates

SCAN = (8, 10)
OPTIONS = {"n_components": 3, "random_state": 0, "show_progressbar": False}
# Spectra and patterns: those of HyperSpy, and of instruments.
FORMATS = {
    "spectra": ["hspy", "zspy", "rpl", "nxs"],
    "patterns": ["hspy", "zspy", "blo", "tvips"],
}


@pytest.fixture(autouse=True)
def on_disk(monkeypatch):
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)


@pytest.fixture(scope="module")
def eager():
    rng = np.random.default_rng(0)
    abundances = rng.dirichlet(np.full(3, 0.3), SCAN)
    spectra = rng.poisson(abundances @ rng.gamma(0.5, size=(3, 64)) * 40).astype("u2")
    patterns = rng.poisson(abundances @ rng.gamma(0.5, size=(3, 256)) * 10).clip(0, 255)
    return {
        "spectra": hs.signals.Signal1D(spectra),
        "patterns": hs.signals.Signal2D(patterns.reshape(*SCAN, 16, 16).astype("u1")),
    }


@pytest.fixture(scope="module")
def fused(eager):
    return hf.fuse(list(eager.values()), names=list(eager), **OPTIONS)


def written(eager, kind, extension, folder):
    path = folder / f"{kind}.{extension}"
    eager[kind].save(path)
    options = {"scan_shape": SCAN} if extension == "tvips" else {}
    path = path.with_stem(f"{kind}_000") if extension == "tvips" else path
    loaded = hs.load(path, lazy=True, **options)
    return loaded[0] if isinstance(loaded, list) else loaded


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("spectra", "patterns"), list(zip(FORMATS["spectra"], FORMATS["patterns"], strict=True))
)
def test_files_give_what_memory_gives(eager, fused, tmp_path, spectra, patterns):
    loaded = {
        "spectra": written(eager, "spectra", spectra, tmp_path),
        "patterns": written(eager, "patterns", patterns, tmp_path),
    }
    assert all(s._lazy for s in loaded.values())
    h = hf.fuse(list(loaded.values()), names=list(loaded), **OPTIONS)
    assert all(s._lazy for s in loaded.values())
    assert [part.passes for part in h._result.modalities.values()] == [2, 2]
    error = np.sqrt(np.mean((h.data - fused.data) ** 2))
    assert error < 0.02
    for name in loaded:
        ours, theirs = h.get_factors(name).data, fused.get_factors(name).data
        assert np.linalg.norm(ours - theirs) < 0.05 * np.linalg.norm(theirs)


@pytest.fixture(scope="module")
def from_files(eager, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    loaded = {name: written(eager, name, "zspy", folder) for name in eager}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modality_module, "HOLD_BYTES", 0)
        h = hf.fuse(list(loaded.values()), names=list(loaded), **OPTIONS)
    return loaded, h


def test_learning_results_of_lazy_signals_are_small_arrays_of_numpy(from_files):
    loaded, h = from_files
    for s in loaded.values():
        assert s._lazy
        kept = [v for v in vars(s.learning_results).values() if hasattr(v, "shape")]
        assert len(kept) > 5
        assert all(type(value) is np.ndarray for value in kept)
        rows = int(np.prod(SCAN)) + int(np.prod(s.data.shape[2:]))
        assert sum(value.nbytes for value in kept) < 8 * rows * 80 * 4
        s.plot_decomposition_results()
        s.plot_bss_results()
        plt.close("all")
        model = s.get_bss_model()
        assert model._lazy
        expected = h.get_model(next(n for n in loaded if loaded[n] is s)).data
        np.testing.assert_allclose(model.data.compute(), expected.compute(), rtol=1e-4, atol=1e-4)


def test_the_model_is_lazy_and_comes_in_pieces(from_files, monkeypatch):
    _, h = from_files
    monkeypatch.setattr(templates, "MODEL_BLOCK", 256 * 6)
    model = h.get_model("patterns")
    assert model._lazy
    # Even where a line of the scan holds more than a block.
    assert max(np.prod(model.data.numblocks), 1) == 16
    assert np.prod(model.data.chunksize) <= 256 * 6
    whole = np.einsum("yxp,pij->yxij", h.data, h.get_factors("patterns").data)
    piece = model.inav[3:5, 2:4]
    np.testing.assert_allclose(piece.data.compute(), whole[2:4, 3:5], rtol=1e-6, atol=1e-9)
    carried = [v for v in dict(model.data.dask).values() if isinstance(v, np.ndarray)]
    assert sum(value.nbytes for value in carried) < model.data.nbytes / 10


def test_the_residual_and_a_saved_fusion_of_files(from_files, tmp_path):
    loaded, h = from_files
    assert np.mean(h.get_residual("patterns").data) == pytest.approx(1, abs=0.15)
    h.save(tmp_path / "h.zspy")
    again = hs.load(tmp_path / "h.zspy")
    np.testing.assert_array_equal(again.data, h.data)
    with pytest.raises(ValueError, match="patterns are not there"):
        again.get_residual("patterns")
    again.attach("patterns", loaded["patterns"])
    np.testing.assert_allclose(
        again.get_residual("patterns").data, h.get_residual("patterns").data, rtol=1e-6
    )
    for figure in (again.plot_components, again.plot_scree):
        figure()


def test_how_often_data_are_read_is_said_before(eager, monkeypatch, caplog):
    def fail(modality):
        raise KeyboardInterrupt

    lazy = [s.as_lazy() for s in eager.values()]
    lazy[1].metadata.General.title = "patterns"
    monkeypatch.setattr("hyperfuse_hs.streamed.first_look", fail)
    monkeypatch.setattr("hyperfuse_hs.inputs.HOLD_BYTES", 0)
    with caplog.at_level(logging.INFO, "hyperfuse_hs"):
        with pytest.raises(KeyboardInterrupt):
            hf.fuse(lazy, names=["spectra", "patterns"], roles={"patterns": "passive"}, **OPTIONS)
        monkeypatch.setattr("hyperfuse_hs.inputs.HOLD_BYTES", 2**20)
        with pytest.raises(KeyboardInterrupt):
            hf.fuse(lazy[:1], names=["spectra"], **OPTIONS)
    said = [record.getMessage() for record in caplog.records]
    assert "spectra: 0.0102 MB, to be read twice (a first and a second look)." in said
    assert "spectra: 0.0102 MB, to be read once (and kept in memory, being small)." in said
    assert "patterns: 0.0205 MB, to be read once (passive: only receives factors)." in said


def test_ctrl_c_ends_within_a_chunk():
    reads = []

    def slowly(block):
        reads.append(time.monotonic())
        time.sleep(0.02)
        return block

    data = da.ones((40, 40, 16), chunks=(4, 4, 16)).map_blocks(slowly, meta=np.empty((0,) * 3))
    s = hs.signals.Signal1D(data).as_lazy()
    reads.clear()
    pressed = []

    def press():
        pressed.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modality_module, "BLOCK_BYTES", 2**10)
        threading.Timer(0.3, press).start()
        with pytest.raises(KeyboardInterrupt):
            s.fuse(**OPTIONS)
    time.sleep(0.3)
    # Every thread ends the piece that it is reading, and may have begun another one.
    assert 0 < len(reads) < 100
    assert sum(moment > pressed[0] for moment in reads) <= 4
    assert s.learning_results.factors is None
