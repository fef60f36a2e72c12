"""The benchmark measures what it says: its oracles, its cases, its tables; and its rows run."""

import math
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not part of the package")

from benchmarks import (  # noqa: E402
    accuracy,
    buried,
    cases,
    counting,
    measure,
    misspecified,
    peers,
    records,
    runner,
    scores,
    spectral_library,
    statistics,
)
from benchmarks.records import FLAG, Aim, Record, Settings, Unit  # noqa: E402

P = 3


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    factors = cases.material_factors(cases.MATERIALS[:P])
    return cases.make_case("a", cases.grains(rng, 20, P), factors, rng)


@pytest.fixture(scope="module")
def oracle(case):
    abundances = scores.oracle_abundances(case, list(case.factors))
    return scores.Estimate(abundances, scores.all_oracles(case))


class TestScores:
    def test_the_oracle_is_at_one(self, case, oracle):
        found = misspecified.oracle_records(case, "oracle", oracle, Aim(each=1.0))
        ratios = {r.quantity: r.value for r in found if "oracle" in r.quantity}
        assert len(ratios) == 4
        assert list(ratios.values()) == pytest.approx([1.0] * 4)

    def test_the_oracle_finds_the_truth_without_noise(self, case):
        clean = {}
        for name, factors in case.factors.items():
            data = (case.abundances @ factors).reshape(case.signals[name].data.shape)
            clean[name] = case.signals[name]._deepcopy_with_new_data(data)
        exact = replace(case, signals=clean)
        for name, factors in scores.all_oracles(exact).items():
            np.testing.assert_allclose(factors, case.factors[name], atol=1e-6 * factors.max())
        found = scores.oracle_abundances(exact, ["EELS"])
        np.testing.assert_allclose(found, case.abundances, atol=1e-6)

    def test_rows_are_weighted_by_their_noise(self, case):
        scale = np.random.default_rng(1).uniform(0.3, 2.0, len(case.inside))
        signal = case.signals["EELS"]
        mean = scale[:, None] * (case.abundances @ case.factors["EELS"])
        data = mean.reshape(signal.data.shape)
        varied = replace(case, scale=scale, signals={"EELS": signal._deepcopy_with_new_data(data)})
        np.testing.assert_allclose(
            scores.oracle_factors(varied, "EELS"), case.factors["EELS"], rtol=1e-6
        )
        found = scores.oracle_abundances(varied, ["EELS"])
        np.testing.assert_allclose(found, case.abundances, atol=1e-6)

    def test_order_does_not_matter(self, case, oracle):
        turned = [2, 0, 1]
        shuffled = scores.Estimate(
            oracle.abundances[:, turned], {n: f[turned] for n, f in oracle.factors.items()}
        )
        order = scores.order_of(case, shuffled.factors)
        assert order.tolist() == [1, 2, 0]
        one, other = (misspecified.oracle_records(case, "", e, Aim()) for e in (oracle, shuffled))
        assert [r.value for r in one] == pytest.approx([r.value for r in other])

    def test_what_is_missing_is_a_failure(self, case, oracle):
        fewer = scores.Estimate(
            oracle.abundances[:, 1:], {n: f[1:] for n, f in oracle.factors.items()}
        )
        order = scores.order_of(case, fewer.factors)
        assert order.tolist() == [-1, 0, 1]
        found = misspecified.oracle_records(case, "", fewer, Aim(each=1.5))
        assert all(records.failed(r) for r in found if "oracle" in r.quantity)

    def test_a_collapse_is_detected(self, case, oracle):
        order = np.arange(P)
        assert not scores.collapsed(case, oracle, order)
        twins = {n: f[[0, 0, 2]] * 1.001 for n, f in oracle.factors.items()}
        assert scores.collapsed(case, scores.Estimate(oracle.abundances, twins), order)

    def test_true_twins_are_no_collapse(self, case, oracle):
        twins = {n: f[[0, 0, 2]] for n, f in case.factors.items()}
        alike = replace(case, factors=twins)
        assert not scores.collapsed(alike, scores.Estimate(oracle.abundances, twins), np.arange(P))

    def test_factors_that_differ_in_one_modality_are_no_collapse(self, case, oracle):
        factors = {n: f[[0, 0, 2]] for n, f in oracle.factors.items()}
        factors["EDS"] = oracle.factors["EDS"]
        estimate = scores.Estimate(oracle.abundances, factors)
        assert not scores.collapsed(case, estimate, np.arange(P))

    def test_counts_follow_brightness(self, case):
        factors = {"EELS": case.factors["EELS"] * [[1.0], [3.0], [1.0]]}
        bright = replace(case, factors=factors, signals={"EELS": case.signals["EELS"]})
        found = scores.count_fractions(bright, np.array([[0.5, 0.5, 0.0]]))
        np.testing.assert_allclose(found, [[0.25, 0.75, 0.0]])


class TestCases:
    def test_means_and_noise(self):
        abundances = np.tile([0.2, 0.3, 0.5], (60, 50, 1))
        factors = cases.material_factors(cases.MATERIALS[:P])
        rng = np.random.default_rng(0)
        case = cases.make_case("", abundances, factors, rng, dose=0.5, gain=3.0, read_noise=9.0)
        for name, unit in factors.items():
            gain, read = (1.0, 0.0) if name == "EDS" else (3.0, 9.0)
            counts = 0.5 * cases.DOSES[name] * np.array([0.2, 0.3, 0.5]) @ unit
            variance = gain**2 * counts + read**2
            data = case.counts(name)
            assert data.shape == (3000, unit.shape[1])
            np.testing.assert_allclose(
                case.factors[name][0], gain * 0.5 * cases.DOSES[name] * unit[0]
            )
            error = np.sqrt(np.maximum(variance, 1e-12) / len(data))
            assert np.sqrt(np.mean(((data.mean(axis=0) - gain * counts) / error) ** 2)) < 1.3
            assert data.var(axis=0).sum() == pytest.approx(variance.sum(), rel=0.03)

    def test_a_shift_of_one_channel_moves_by_one_channel(self):
        channel = np.arange(200.0)
        peak = np.exp(-0.5 * ((channel - 100) / 12) ** 2)[None]
        moved = cases.shifted(np.ones((1, 1)), peak, np.ones(1))
        expected = np.exp(-0.5 * ((channel - 101) / 12) ** 2)
        np.testing.assert_allclose(moved[0], expected, atol=2e-3)

    @pytest.mark.parametrize("blur", [0.0, 2.0])
    def test_grains_have_all_phases_and_sum_to_one(self, blur):
        maps = cases.grains(np.random.default_rng(0), 40, 5, blur=blur)
        np.testing.assert_allclose(maps.sum(axis=-1), 1)
        assert maps.mean(axis=(0, 1)).min() > 0.9 * cases.LEAST_SHARE / 5
        pure = np.mean(maps.max(axis=-1) > 0.999)
        assert pure > 0.4 if blur == 0 else pure < 0.4

    def test_the_rare_phase_is_rare_and_never_pure(self):
        maps = misspecified.rare_phase(np.random.default_rng(0), 48)
        assert np.mean(maps[..., -1] > 0) == pytest.approx(misspecified.RARE_SHARE, rel=0.05)
        assert 0.4 < maps[..., -1].max() <= misspecified.RARE_PURITY
        np.testing.assert_allclose(maps.sum(axis=-1), 1)

    @pytest.mark.parametrize("seer", ["EELS", "EDS", "Diffraction"])
    def test_twins_differ_for_one_signal_only(self, seer):
        maker = misspecified.MAKERS["diffraction only" if seer == "Diffraction" else f"{seer} only"]
        case = maker(np.random.default_rng(0), 20)
        same = {n: np.array_equal(f[-1], f[-2]) for n, f in case.factors.items()}
        assert same == {n: n != seer for n in case.factors}

    def test_phantoms_are_flattened_in_the_order_of_the_scan(self):
        case = cases.tio2(1, size=16)
        rows = case.abundances[case.inside]
        np.testing.assert_allclose(rows.sum(axis=1), 1)
        counts = case.counts("EELS").astype(float)
        misfit = (counts - rows @ case.factors["EELS"]) ** 2 / (rows @ case.factors["EELS"])
        assert misfit.mean() == pytest.approx(1.0, abs=0.02)

    def test_the_weakest_signal_grows_with_the_root_of_the_dose(self):
        made = []
        for dose in (1.0, 4.0):
            rng = np.random.default_rng(0)
            factors = cases.material_factors(cases.MATERIALS[:P])
            made.append(cases.make_case("", cases.grains(rng, 20, P), factors, rng, dose=dose))
        one, other = (counting.weakest(c, "Poisson") for c in made)
        assert other == pytest.approx(2 * one)

    def test_the_library_keeps_its_angle_and_the_mixtures_their_purity(self):
        rng = np.random.default_rng(0)
        spectra = spectral_library.library(rng, 6)
        angles = scores.spectral_angle(spectra[:, None], spectra[None])[np.triu_indices(6, 1)]
        assert angles.min() >= spectral_library.LEAST_ANGLE
        assert spectra.min() > 0
        rows = spectral_library.sparse_abundances(rng, 300, 6)
        np.testing.assert_allclose(rows.sum(axis=1), 1)
        assert rows.max() <= spectral_library.PUREST
        assert np.count_nonzero(rows, axis=1).max() == spectral_library.MOST_ACTIVE
        data = rows @ spectra
        z, axes, mean = spectral_library.reduced(data, 6)
        np.testing.assert_allclose(z @ axes + mean, data, atol=1e-9)


class TestBuried:
    def test_reads_who_is_not_identified(self):
        text = "3 components\nNot identified: component(s) 0, 2, present at 99 % of positions."
        assert buried.not_identified(text) == {0, 2}
        lines = [f"Not identified: component {n}, nowhere seen without 1" for n in (0, 12)]
        assert buried.not_identified("\n".join(lines)) == {0, 12}
        assert buried.not_identified("3 components") == set()

    @pytest.mark.parametrize("place", [-0.5, 0.25, 1.0])
    def test_places_the_truth_in_the_range(self, case, place):
        ends = {}
        for name, factors in case.factors.items():
            step = 0.1 * factors[1]
            pair = np.stack([factors[0] - place * step, factors[0] + (1 - place) * step])
            signal = hs.signals.Signal1D(pair)
            signal.metadata.set_item(
                "Signal.Noise_properties.variance", hs.signals.Signal1D(np.full(pair.shape, 4.0))
            )
            ends[name] = signal
        found, error, misfit = buried.place_in_range(case, 0, ends)
        assert found == pytest.approx(place, abs=1e-9)
        assert misfit == pytest.approx(0, abs=1e-9)
        norms = sum(np.sum((0.1 * f[1]) ** 2) for f in case.factors.values())
        assert error == pytest.approx(2 / np.sqrt(norms))


class TestPeers:
    def test_maps_are_brought_to_sum_to_one(self):
        rng = np.random.default_rng(0)
        maps, factors = rng.dirichlet(np.ones(3), 50), rng.uniform(size=(3, 9))
        size = np.array([-2.0, 0.1, 30.0])
        found, spectra = peers.summing_to_one(maps / size, factors * size[:, None])
        np.testing.assert_allclose(found, maps)
        np.testing.assert_allclose(spectra, factors)

    def test_the_stack_comes_apart_again(self, case):
        stack, split = peers.stacked(case, 0)
        assert stack.counts.any(axis=0).all()
        parts = split(stack.counts[:2])
        for name in case.factors:
            np.testing.assert_array_equal(parts[name], case.counts(name)[:2])

    def test_large_patterns_are_binned_with_their_truth(self):
        case = cases.tio2(0, size=40)
        small = peers.binned(case)
        assert small.factors["Diffraction"].shape == (3, 32 * 32)
        assert small.counts("Diffraction").sum() == case.counts("Diffraction").sum()
        whole, folded = case.factors["Diffraction"], small.factors["Diffraction"]
        np.testing.assert_allclose(folded[:, 33], whole.reshape(3, 64, 64)[:, 2:4, 2:4].sum((1, 2)))
        assert peers.binned(small) is small

    def test_a_missing_package_is_said_to_be_so(self, case, monkeypatch):
        absent = {"other": ("no_such_package", None)}
        monkeypatch.setattr(peers, "PEERS", absent)
        monkeypatch.setattr(peers.methods, "UNMIXING", ())
        found = peers.peer_records(case, 0)
        assert [r.quantity for r in found if r.method == "other"] == ["not installed"]

    def test_a_package_that_raises_is_a_finding(self, case, monkeypatch):
        def fail(stack):
            raise ArithmeticError

        monkeypatch.setattr(peers, "PEERS", {"other": ("numpy", fail)})
        monkeypatch.setattr(peers.methods, "UNMIXING", ())
        last = peers.peer_records(case, 0)[-1]
        assert last.quantity == "raised ArithmeticError"
        assert records.failed(last)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", peers.PEERS)
    def test_each_explains_the_data(self, case, name):
        package, run = peers.PEERS[name]
        pytest.importorskip(package)
        stack, _ = peers.stacked(case, 0)
        maps, factors = peers.run_quietly(run, stack).result
        assert maps.shape == (len(stack.counts), P)
        assert factors.shape == (P, stack.counts.shape[1])
        rest = np.sum(((stack.counts - maps @ factors) / stack.root) ** 2)
        assert rest < 3 * stack.counts.size


class TestRecords:
    def test_the_table_says_median_worst_and_failures(self):
        aim = Aim(median=1.0, each=1.5)
        values = [1.0, 1.2, 2.0, math.nan]
        found = [Record("c", "m", "q", v, aim, seconds=2.0, peak=7.0) for v in values]
        line = records.table(found).splitlines()[1].split()
        assert line[:6] == ["c", "m", "q", "4", "1.4", "1.2"]
        assert line[8:10] == ["2", "2"]
        assert line[-2:] == ["2.00", "7"]
        assert "<= 1, each <= 1.5" in " ".join(line)

    def test_the_worst_is_farthest_from_the_mean_that_is_aimed_at(self):
        found = [Record("c", "m", "q", v, Aim(mean=0.95, within=0.05)) for v in (0.9, 0.96, 0.99)]
        line = records.table(found).splitlines()[1]
        assert line.split()[4:6] == ["0.95", "0.96"]
        assert line.split()[8] == "0.9"
        assert "mean 0.95 ± 0.05" in line

    def test_failures_from_below(self):
        aim = Aim(each=0.95, large_is_good=True)
        assert records.failed(Record("", "", "", 0.9, aim))
        assert not records.failed(Record("", "", "", 0.96, aim))
        assert records.failed(Record("", "", "", 1.0, FLAG))
        assert not records.failed(Record("", "", "", 0.0, FLAG))

    def test_a_run_goes_on_where_it_was(self, tmp_path, monkeypatch):
        calls = []

        def units(settings):
            for seed in settings.seeds:
                yield Unit("u", seed, lambda s=seed: calls.append(s) or made(s))

        def made(seed):
            return [Record("c", "m", "q", math.nan if seed else 3.0, FLAG, peak=1.5)]

        monkeypatch.setitem(accuracy.ROWS, "row", ("", units))
        path = tmp_path / "kept.json"
        first = runner.run_row(accuracy.ROWS, "row", Settings((0, 1)), {}, path)
        again = runner.run_row(accuracy.ROWS, "row", Settings((0, 1, 2)), records.read(path), path)
        assert calls == [0, 1, 2]
        assert records.table(again[:2]) == records.table(first)
        assert again[0] == first[0]

    def test_a_seed_that_raises_is_a_failure(self, monkeypatch, capsys):
        def run():
            raise RuntimeError("singular")

        monkeypatch.setitem(accuracy.ROWS, "row", ("", lambda s: [Unit("u", 0, run)]))
        (record,) = runner.run_row(accuracy.ROWS, "row", Settings((0,)), {})
        assert records.failed(record)
        assert record.quantity == "raised RuntimeError"
        assert "singular" in capsys.readouterr().out

    def test_memory_of_a_call(self):
        done = measure.measure(lambda: np.ones(2**23).sum())
        assert done.result == 2**23
        assert done.seconds > 0
        if not math.isnan(done.peak):
            assert 50 < done.peak < 100

    def test_unknown_rows_are_refused(self, capsys):
        with pytest.raises(SystemExit):
            accuracy.parse(["nonsense"])
        assert "Expected rows out of flat" in capsys.readouterr().err


QUICK = ["--quick", "--seeds", "1"]


def test_a_row_prints_its_table(capsys):
    accuracy.main(["library", *QUICK])
    out = capsys.readouterr().out
    assert "6. A hyperspectral design (seeds 0 to 0" in out
    assert "face mixture" in out and "VCA" in out
    assert "raised" not in out


@pytest.mark.slow
@pytest.mark.parametrize("row", statistics.ROWS)
def test_every_row_of_statistics_runs(row, capsys):
    statistics.main([row, *QUICK])
    out = capsys.readouterr().out
    title, _, *table = out.strip().splitlines()
    assert "(seeds 0 to 0, " in title
    assert sum(any(c.isdigit() for c in line) for line in table) >= 2
    assert "raised" not in out


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in accuracy.ROWS if row not in ("library", "real")])
def test_every_row_runs(row, capsys):
    accuracy.main([row, *QUICK, "--peer-seeds", "0"])
    out = capsys.readouterr().out
    title, _, *table = out.strip().splitlines()
    assert "(seeds 0 to 0, " in title
    assert sum(any(c.isdigit() for c in line) for line in table) >= 2
    assert "raised" not in out


@pytest.mark.slow
def test_the_row_of_real_files_runs(real_data, capsys):
    for package in ("exspy", "sparse", "sklearn"):
        pytest.importorskip(package)
    data = real_data("superx_eds_haadf").parent
    accuracy.main(["real", *QUICK, "--data", str(data)])
    assert "raised" not in capsys.readouterr().out


@pytest.mark.slow
def test_absent_files_are_said_to_be_so(tmp_path, capsys):
    accuracy.main(["real", *QUICK, "--data", str(tmp_path)])
    assert capsys.readouterr().out.count("file is not there") == 3
