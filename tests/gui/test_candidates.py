"""Which signals the tool lists, and what it says of those that do not fit."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs.gui.candidates import Scan, find_candidates, make_candidate, matching_call
from hyperfuse_hs.gui.tool import Fuser
from hyperfuse_hs.inputs import check_scan

from .scenes import Reads, candidate, make_session, make_tool


def test_the_signals_of_the_session_are_listed_those_that_fit_first():
    tool = make_tool(make_session())
    assert [item.variable for item in tool.candidates] == ["s_a", "s_b", "s_4d", "haadf", "small"]
    assert [item.fits for item in tool.candidates] == [True, True, True, True, False]
    assert [item.chosen for item in tool.candidates] == [True, False, False, False, False]


def test_signals_passed_come_first_and_are_chosen():
    session = make_session()
    tool = make_tool(session, "s_4d", "s_b", names=["4D", "second"])
    assert [item.variable for item in tool.candidates[:2]] == ["s_4d", "s_b"]
    assert [item.name for item in tool.chosen] == ["4D", "second"]


def test_a_signal_without_a_variable_is_listed_too():
    session = make_session()
    tool = Fuser([hs.signals.Signal1D(session["s_a"].data)], variables=session)
    assert tool.candidates[0].variable == "" and tool.candidates[0].chosen


def test_results_masks_and_the_history_are_not_listed():
    session = make_session()
    session["h"] = session["s_a"].fuse(n_components=2, random_state=0, show_progressbar=False)
    found = {item.variable for item in find_candidates([session["s_a"]], None, session)}
    assert found == {"s_a", "s_b", "s_4d", "haadf", "small"}


def test_every_name_is_given_once():
    names = [item.name for item in make_tool(make_session()).candidates]
    assert len(set(names)) == len(names)


def test_another_scan_is_said_with_both_shapes():
    small = candidate(make_tool(make_session()), "small")
    assert "Got a (10, 12) and small (5, 12)" in small.reason


def test_complex_signals_are_listed_with_the_reason():
    session = make_session()
    session["wave"] = hs.signals.Signal1D(session["s_b"].data * 1j)
    wave = candidate(make_tool(session), "wave")
    assert not wave.fits and "real numbers" in wave.reason and wave.hint == ""


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ((3, 4, 5), "s.swap_axes(0, 1)"),
        ((2, 4, 3, 5), "s.sum(axis=2)"),
        ((4, 3, 2, 5), "s.sum(axis=0)"),
    ],
)
def test_the_call_that_helps_does_help(shape, call):
    rng = np.random.default_rng(0)
    s = hs.signals.Signal1D(rng.poisson(9.0, shape))
    assert matching_call("s", s, Scan("other", (3, 4))) == call
    check_scan("other", (3, 4), eval(call, {"s": s}))


def test_the_call_that_helps_an_image_does_help():
    s = hs.signals.Signal2D(np.ones((3, 4)))
    assert matching_call("s", s, Scan("other", (3, 4))) == "s.swap_axes(0, 1)"
    check_scan("other", (3, 4), eval("s.swap_axes(0, 1)", {"s": s}))


@pytest.mark.parametrize("kind", ["finer", "smaller", "larger image"])
@pytest.mark.parametrize("alias", ["hf", "hyperfuse_hs"])
def test_the_call_that_registers_another_scan_does_help(kind, alias):
    rng = np.random.default_rng(0)
    area = np.add.reduce(
        [
            (np.hypot(*(np.indices((48, 40)).T - rng.uniform(0, 40, 2)).T) < 4) * 1.0
            for _ in range(25)
        ]
    )
    counts = rng.poisson(50 * area)[..., None] * np.ones(3, dtype=int)
    session = {"mine": hs.signals.Signal1D(counts[6:42, 4:36])}
    session["theirs"] = {
        "finer": hs.signals.Signal1D(np.kron(counts[6:42, 4:36], np.ones((2, 2, 1)))),
        "smaller": hs.signals.Signal1D(counts[4:36, 6:38]),
        "larger image": hs.signals.Signal2D(counts[..., 0]),
    }[kind]
    session |= {"hf": hf} if alias == "hf" else {}
    (other,) = (c for c in find_candidates([session["mine"]], None, session) if not c.fits)
    assert "hyperfuse_hs.register(a, b)" in other.reason
    assert other.hint == f"mine, theirs = {alias}.register(mine, theirs)"
    exec(other.hint, {"hyperfuse_hs": hf}, session)
    assert all(c.fits for c in find_candidates([session["mine"]], None, session))
    assert np.corrcoef(
        session["mine"].data.reshape(len(session["mine"].data), -1, 3).sum(-1).ravel(),
        session["theirs"].data.reshape(*session["mine"].data.shape[:2], -1).sum(-1).ravel(),
    )[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("shape", [(5,), (2, 5), (7, 5, 4, 3, 5)])
def test_where_no_single_call_helps_none_is_shown(shape):
    assert matching_call("s", hs.signals.Signal1D(np.ones(shape)), Scan("a", (3, 4))) == ""


def test_what_fits_has_neither_reason_nor_hint():
    session = make_session()
    item = make_candidate(session["haadf"], "HAADF", "haadf", Scan("a", (10, 12)))
    assert item.fits and item.reason == item.hint == ""


def test_listing_reads_no_data():
    session = make_session()
    reads = Reads(session["s_b"])
    session["lazy"] = reads.signal
    make_tool(session).check()
    assert reads.count == 0


def test_refresh_lists_what_has_been_made_since_and_keeps_entries():
    session = make_session()
    tool = make_tool(session, "s_a", "s_b")
    candidate(tool, "s_b").weight = "0.5"
    session["cropped"] = session["small"].inav[:3]
    session["later"] = hs.signals.Signal1D(session["s_b"].data * 2)
    tool.refresh()
    assert candidate(tool, "later").fits and not candidate(tool, "later").chosen
    assert not candidate(tool, "cropped").fits
    assert candidate(tool, "s_b").weight == "0.5" and candidate(tool, "s_b").chosen
    assert {"later", "cropped"} <= set(tool.array_names)
