"""Sets on disk: the benchmark runs, and memory does not grow with them."""

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not part of the package")
pytest.importorskip("zarr", reason="the sets are kept as .zspy")

from benchmarks import scale, scale_sets  # noqa: E402
from benchmarks.scale_sets import CHUNKINGS, NAMES, Size  # noqa: E402


@pytest.mark.slow
def test_sets_hold_the_same_counts_in_whatever_chunks(tmp_path):
    data = {}
    for chunks in CHUNKINGS:
        size = Size(16, 32, 64, 64, chunks=chunks)
        files = scale_sets.write(tmp_path, size)
        signals = scale_sets.read(tmp_path, size)
        assert [files[name].dtype for name in NAMES] == [str(s.data.dtype) for s in signals]
        assert files["EELS"].dtype == "float32"
        data[chunks] = [np.asarray(s.data) for s in signals]
        assert all(0 < files[n].fill < 1 and files[n].stored > 0 for n in NAMES)
    for chunks in CHUNKINGS:
        for found, expected in zip(data[chunks], data["tiles"], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert signals[2].data.chunksize[:2] == (16, 16)
    patterns = scale_sets.read(tmp_path, Size(16, 32, 64, 64, chunks="patterns"))[2]
    assert patterns.data.chunksize == (1, 1, 32, 32)


@pytest.mark.slow
def test_the_benchmark_prints_what_it_promises(tmp_path, capsys):
    small = ["--detector", "16", "--eels", "64", "--eds", "64", "--repeats", "1"]
    scale.main(["sizes", "shares", "--sizes", "16", "20", *small, "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Slope of log time over log (N x C)" in printed
    assert "16 x  16" in printed and "20 x  20" in printed
    assert "decompress" in printed and "second look" in printed
    assert "failed" not in printed and "Error" not in printed


def test_what_takes_too_long_or_fails_is_said(tmp_path):
    size = Size(16)
    assert "not done after" in scale.measure("bare", tmp_path, size, 0.01)["failed"]
    assert "KeyError" in scale.measure("no such job", tmp_path, size, 100)["failed"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(tmp_path):
    scale_sets.write(tmp_path, scale.TINY)
    peaks, raw = [], []
    for scan in (32, 64):
        size = Size(scan, 256, 512, 512)
        raw.append(sum(file.raw for file in scale_sets.write(tmp_path, size).values()) / 2**20)
        peaks.append(scale.measure("support", tmp_path, size, 300)["peak"])
    assert raw[1] - raw[0] > 350
    assert peaks[1] - peaks[0] < 0.5 * (raw[1] - raw[0])
