"""The tool without a front end: entries, runs, cancelling, and what follows from changes."""

import copy
import threading
import time

import hyperspy.api as hs
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from traits.observation.api import pop_exception_handler, push_exception_handler

import hyperfuse_hs as hf
from hyperfuse_hs.gui.reopen import reopened
from hyperfuse_hs.signals.hypermodal import HypermodalSignal

from .scenes import SCAN, Reads, candidate, make_session, make_tool

pytestmark = pytest.mark.filterwarnings("ignore:.*without any counts are excluded")


@pytest.fixture(autouse=True)
def errors_are_raised():
    push_exception_handler(reraise_exceptions=True)
    yield
    pop_exception_handler()


@pytest.fixture
def tool():
    return make_tool(make_session(), "s_a", "s_b")


@pytest.fixture
def ran(tool):
    tool.run()
    assert not tool.problems and isinstance(tool.result, HypermodalSignal)
    return tool


def run_code(tool, session):
    """Run the code that the tool shows, in a session without results, and return ``h``."""
    for signal in session.values():
        if isinstance(signal, hs.signals.BaseSignal):
            signal.learning_results.bss_factors = None
    scope = dict(session)
    exec(tool.code, scope)
    return scope["h"]


class TestRun:
    def test_gives_what_fuse_gives(self, ran):
        session = make_session()
        h = hf.fuse(
            [session["s_a"], session["s_b"]], n_components=3, unmixing="vertex", random_state=0
        )
        np.testing.assert_allclose(ran.result.data, h.data)
        assert ran.result.modalities == ["a", "b"]
        assert not ran.running and ran.stage == "" and ran.errors == {}

    def test_shows_texts(self, ran):
        assert ran.summary == ran.result.summary()
        assert ran.edge == "3 components stand out of the noise; 3 are shown."

    def test_writes_back(self, tool):
        tool.run()
        for item in tool.chosen:
            assert item.signal.learning_results.bss_factors.shape[1] == 3

    def test_stages_are_those_of_fuse(self, tool):
        seen = []
        tool.observe(lambda event: seen.append(tool.stage), "stage")
        tool.run()
        assert seen[0] == "Starting" and seen[-2:] == ["Unmixing", ""]
        assert any(stage.startswith("a: ") and "pass 1" in stage for stage in seen)

    def test_automatic_number_is_shown(self, tool):
        tool.automatic = True
        tool.run()
        assert tool.automatic and tool.n_components == tool.result._result.n_components == 3

    def test_names_roles_weights_noise_masks_and_scale_reach_fuse(self):
        session = make_session()
        tool = make_tool(session, "s_a", "s_4d", "haadf")
        tool.trait_set(navigation_mask="vacuum", scale="thickness", abundances="nonnegative")
        tool.trait_set(random_state="7", unmixing="minimum_volume")
        candidate(tool, "s_a").trait_set(name="first", noise="variance", signal_mask="hot")
        candidate(tool, "s_4d").trait_set(role="support", weight="0.5", noise="gaussian")
        candidate(tool, "haadf").trait_set(role="passive", noise="4.5")
        tool.run()
        assert tool.problems == []
        asked = tool.result._asked
        assert asked["names"] == ["first", "patterns", "haadf"]
        assert asked["noise"]["first"] is session["variance"]
        assert asked["noise"]["haadf"] == 4.5
        assert asked["roles"] == {"first": "auto", "patterns": "support", "haadf": "passive"}
        assert asked["weights"] == {"first": "auto", "patterns": 0.5, "haadf": "auto"}
        assert asked["signal_masks"]["first"] is session["hot"]
        assert asked["navigation_mask"] is session["vacuum"]
        assert asked["scale"] is session["thickness"]
        assert tool.result._choices.seed == 7
        assert tool.result._result.options["unmixing"] == "minimum_volume"
        assert np.isnan(tool.result.data[0, 0]).all()

    def test_an_empty_seed_is_a_new_one_that_the_code_names(self, tool):
        tool.random_state = ""
        tool.run()
        assert f"random_state={tool.result._choices.seed})" in tool.code

    def test_options_passed_are_the_first_entries(self):
        session = make_session()
        mask = np.zeros(SCAN, dtype=bool)
        mask[0] = True
        tool = make_tool(
            session,
            "s_a",
            "s_b",
            n_components="auto",
            roles={session["s_b"]: "support"},
            weights={"b": 2.0},
            noise={"a": session["variance"], "b": "poisson"},
            signal_masks={"a": session["hot"]},
            navigation_mask=mask,
            unmixing="vertex",
            random_state=5,
        )
        a, b = tool.chosen
        assert (a.noise, a.signal_mask, a.role) == ("variance", "hot", "auto")
        assert (b.noise, b.weight, b.role) == ("poisson", "2.0", "support")
        assert tool.automatic and tool.unmixing == "vertex" and tool.random_state == "5"
        assert tool.navigation_mask == "navigation_mask (given)"
        tool.run()
        assert tool.result._asked["navigation_mask"] is mask

    def test_an_object_of_the_users_unmixes(self):
        class Corners:
            def fit(self, scores, n_components, noise):
                return scores[:n_components]

        session = make_session() | {"corners": Corners()}
        tool = make_tool(session, "s_a", unmixing=session["corners"])
        assert tool.unmixing == "corners" and "corners" in tool.unmixing_choices
        tool.run()
        assert tool.result._choices.unmixing is session["corners"]
        assert "unmixing=corners" in tool.code

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"roles": "leader"}, "auto, lead, support, passive"),
            ({"n_components": 0}, "at least 1. Got 0"),
            ({"unmixing": "x"}, "must be one of"),
            ({"names": ["one", "two"]}, "Expected 1 different names"),
        ],
    )
    def test_options_that_no_entry_can_show_are_refused_at_once(self, options, match):
        with pytest.raises(ValueError, match=match):
            make_tool(make_session(), "s_a", **options)


class TestErrors:
    """Every wrong entry has its message, that of fuse, beside it."""

    @pytest.mark.parametrize(
        ("entry", "value", "where", "match"),
        [
            ("scale", "thick", "scale", "must be one of"),
            ("scale", "hot", "scale", "must have shape"),
            ("navigation_mask", "hot", "navigation_mask", "must have shape"),
            ("navigation_mask", "nothing", "navigation_mask", "name of a variable"),
            ("navigation_mask", "number", "navigation_mask", "is of type int"),
            ("random_state", "x", "random_state", "whole number"),
            ("random_state", "1.5", "random_state", "Got 1.5"),
            ("random_state", "-1", "random_state", "at least 0"),
            ("unmixing", "guess", "unmixing", "must be one of"),
        ],
    )
    def test_shared(self, tool, entry, value, where, match):
        tool.trait_set(**{entry: value})
        assert match in tool.errors[where] and len(tool.errors) == 1
        tool.run()
        assert tool.result is None

    @pytest.mark.parametrize(
        ("entry", "value", "match"),
        [
            ("noise", "posson", '"auto", "poisson", "gaussian", "none"'),
            ("noise", "thickness", "variance of b must be a number or of shape"),
            ("weight", "heavy", "number as weight of b. Got 'heavy'"),
            ("weight", "-1", "at least 0 for b"),
            ("signal_mask", "hot", "mask of b must have shape (18,)"),
            ("signal_mask", "nothing", "name of a variable"),
        ],
    )
    def test_of_one_signal(self, tool, entry, value, match):
        candidate(tool, "s_b").trait_set(**{entry: value})
        assert match in candidate(tool, "s_b").errors[entry]
        assert tool.errors == {} and candidate(tool, "s_a").errors == {}
        candidate(tool, "s_b").chosen = False
        assert tool.problems == []

    def test_several_are_shown_together(self, tool):
        candidate(tool, "s_b").trait_set(noise="posson", weight="x")
        tool.trait_set(scale="thick", random_state="x")
        assert set(candidate(tool, "s_b").errors) == {"noise", "weight"}
        assert set(tool.errors) == {"scale", "random_state"}

    def test_constraint_that_does_not_go_with_the_method(self, tool):
        tool.trait_set(unmixing="orthomax", abundances="nonnegative")
        assert 'Use unmixing="nmf"' in tool.errors["abundances"]

    def test_weight_zero_of_a_lead(self, tool):
        candidate(tool, "s_b").trait_set(role="lead", weight="0")
        assert "A weight of 0 makes b passive" in candidate(tool, "s_b").errors["weight"]

    def test_nothing_may_lead(self, tool):
        for item in tool.chosen:
            item.role = "support"
        assert "a modality that may lead" in tool.errors["candidates"]

    def test_nothing_chosen(self, tool):
        for item in tool.chosen:
            item.chosen = False
        assert "at least one signal" in tool.errors["candidates"]

    def test_the_same_name_twice(self, tool):
        candidate(tool, "s_b").name = "a"
        for name in ("s_a", "s_b"):
            assert "2 different names" in candidate(tool, name).errors["name"]
        candidate(tool, "s_b").name = "b"
        assert not candidate(tool, "s_a").errors and not candidate(tool, "s_b").errors

    def test_a_signal_of_another_scan(self, tool):
        candidate(tool, "small").chosen = True
        message = candidate(tool, "small").errors["chosen"]
        assert "All signals must share one navigation shape" in message and tool.errors == {}

    def test_a_mask_that_excludes_everything(self):
        session = make_session() | {"all_of_it": np.ones(SCAN, dtype=bool)}
        tool = make_tool(session, "s_a")
        tool.navigation_mask = "all_of_it"
        assert "excludes everything" in tool.errors["navigation_mask"]

    @pytest.mark.parametrize(
        ("change", "entry", "match"),
        [
            (lambda data: data.__setitem__((2, 3, 4), np.nan), "chosen", "NaN or infinite"),
            (lambda data: data.__setitem__(..., 7.0), "chosen", "data that vary"),
            (lambda data: data.__imul__(1e30), "chosen", "Change their units"),
            (lambda data: data.__isub__(60), "noise", "counts, which are not negative"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
    def test_of_the_data_come_with_the_run(self, change, entry, match):
        session = make_session()
        data = session["s_b"].data.astype(float)
        change(data)
        session["s_b"].data = data
        tool = make_tool(session, "s_a", "s_b", noise={"b": "poisson"})
        assert tool.problems == []
        tool.run()
        assert match in candidate(tool, "s_b").errors[entry]
        assert tool.result is None and not tool.running

    def test_of_a_variance_come_with_the_run(self):
        session = make_session() | {"negative": np.full(24, -1.0)}
        tool = make_tool(session, "s_a", "s_b")
        candidate(tool, "s_a").noise = "negative"
        tool.run()
        assert "not negative" in candidate(tool, "s_a").errors["noise"]

    def test_too_many_components_for_the_positions_or_the_data(self, tool):
        tool.n_components = 20
        tool.run()
        assert "more than the data support" in tool.errors["n_components"]

    def test_of_another_kind_are_shown_too(self):
        session = make_session()

        def fail(count):
            raise OSError("the disk is gone")

        tool = make_tool(session | {"s_a": Reads(session["s_a"], fail).signal}, "s_a")
        tool.run()
        assert tool.errors["run"] == "OSError: the disk is gone"

    def test_signals_keep_their_results(self):
        session = make_session()
        session["s_b"].data = np.full(session["s_b"].data.shape, 3)
        for name in ("s_a", "s_b"):
            session[name].learning_results.bss_algorithm = "an earlier one"
        before = {n: copy.copy(vars(session[n].learning_results)) for n in ("s_a", "s_b")}
        make_tool(session, "s_a", "s_b").run()
        for name, content in before.items():
            np.testing.assert_equal(vars(session[name].learning_results), content)


class TestAgain:
    """Changes after a run unmix again from the cached scores."""

    @pytest.mark.parametrize(
        ("change", "options"),
        [
            (lambda tool: tool.trait_set(n_components=2), {"n_components": 2}),
            (lambda tool: tool.trait_set(automatic=True), {"n_components": "auto"}),
            (lambda tool: tool.trait_set(unmixing="nmf"), {"unmixing": "nmf"}),
            (lambda tool: tool.trait_set(abundances="none"), {"abundances": "none"}),
            (lambda tool: tool.trait_set(random_state="3"), {"random_state": 3}),
            (
                lambda tool: candidate(tool, "s_b").trait_set(role="support"),
                {"roles": {"b": "support"}},
            ),
            (lambda tool: candidate(tool, "s_b").trait_set(weight="3"), {"weights": {"b": 3.0}}),
        ],
    )
    def test_gives_what_unmix_gives_without_reading(self, change, options):
        session = make_session()
        reads = Reads(session["s_b"])
        session["s_b"] = reads.signal
        tool = make_tool(session, "s_a", "s_b")
        tool.run()
        before, first = reads.count, tool.result
        assert before > 0
        change(tool)
        assert tool.result is not first and tool.problems == []
        np.testing.assert_allclose(tool.result.data, first.unmix(**options).data)
        assert tool.summary == tool.result.summary()
        assert reads.count == before
        assert not tool.stale

    def test_figures_read_no_data(self):
        session = make_session()
        reads = Reads(session["s_b"])
        session["s_b"] = reads.signal
        tool = make_tool(session, "s_a", "s_b")
        tool.run()
        before = reads.count
        tool.draw_component(), tool.draw_all(), tool.draw_scree()
        assert reads.count == before

    def test_does_not_write_back_until_asked(self, ran):
        ran.n_components = 2
        signal = candidate(ran, "s_a").signal
        assert signal.learning_results.bss_factors.shape[1] == 3
        ran.write_back()
        assert signal.learning_results.bss_factors.shape[1] == 2
        assert ran.notice == "Written onto the learning results of a, b."

    @pytest.mark.parametrize(
        "change",
        [
            lambda tool: candidate(tool, "s_4d").trait_set(chosen=True),
            lambda tool: candidate(tool, "s_a").trait_set(noise="gaussian"),
            lambda tool: candidate(tool, "s_a").trait_set(signal_mask="hot"),
            lambda tool: candidate(tool, "s_a").trait_set(name="other"),
            lambda tool: tool.trait_set(navigation_mask="vacuum"),
            lambda tool: tool.trait_set(scale="total"),
        ],
    )
    def test_what_concerns_the_data_asks_for_a_new_run(self, ran, change):
        first = ran.result
        change(ran)
        assert ran.stale and ran.result is first
        ran.run()
        assert not ran.stale and ran.result is not first

    def test_a_wrong_entry_keeps_the_result(self, ran):
        first = ran.result
        ran.n_components = 20
        assert "more than the data support" in ran.errors["n_components"]
        assert ran.result is first
        ran.n_components = 2
        assert ran.errors == {} and ran.result is not first

    def test_a_passive_signal_cannot_lead_without_a_new_run(self):
        tool = make_tool(make_session(), "s_a", "s_b", roles={"b": "passive"})
        tool.run()
        candidate(tool, "s_b").role = "lead"
        assert "Fuse the signals again" in candidate(tool, "s_b").errors["role"]
        tool.run()
        assert tool.problems == [] and tool.result._result.modalities["b"].role == "lead"

    def test_waits_where_it_is_not_live(self, ran):
        first = ran.result
        ran.live = False
        ran.n_components = 2
        assert ran.result is first
        ran.update()
        assert ran.result._result.n_components == 2

    def test_the_component_to_look_at_stays_where_it_can(self, ran):
        ran.component = 2
        ran.n_components = 4
        assert ran.component == 2
        ran.n_components = 2
        assert ran.component == 1

    def test_residuals_are_forgotten(self, ran):
        ran.compute_residuals()
        assert set(ran.residuals) == {"a", "b"}
        np.testing.assert_allclose(
            ran.residuals["a"].data, ran.result.get_residual("a").data, rtol=1e-6
        )
        ran.draw_residuals()
        ran.n_components = 2
        assert ran.residuals == {}


class TestBackground:
    def wait(self, tool):
        end = time.monotonic() + 60
        while (tool.running or tool._again) and time.monotonic() < end:
            time.sleep(0.005)
        assert not tool.running
        if tool._aside is not None:
            tool._aside.thread.join(60)

    @pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
    def test_cancel_ends_within_a_chunk_and_leaves_signals_alone(self, scheduler):
        import dask

        reached, go_on = threading.Event(), threading.Event()

        def pause(count):
            if count == 3:
                reached.set()
                assert go_on.wait(60)

        session = make_session()
        session["s_a"].learning_results.bss_algorithm = "an earlier one"
        reads = Reads(session["s_b"], pause)
        session["s_b"] = reads.signal
        tool = make_tool(session, "s_a", "s_b")
        tool.background = True
        before = {n: copy.copy(vars(session[n].learning_results)) for n in ("s_a", "s_b")}
        # Small lazy data would be read at once and kept.
        with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler=scheduler):
            patch.setattr("hyperfuse_hs.modality.HOLD_BYTES", 0)
            patch.setattr("hyperfuse_hs.modality.BLOCK_BYTES", 1)
            tool.run()
            assert reached.wait(60) and tool.running
            tool.cancel()
            assert tool.stage == "Cancelling"
            at_cancel = reads.count
            go_on.set()
            self.wait(tool)
        # Each thread may finish the chunk that it has in hand, and one more that it has begun.
        assert reads.count <= at_cancel + 4 < 12
        assert tool.result is None and "Cancelled" in tool.notice and tool.errors == {}
        for name, content in before.items():
            np.testing.assert_equal(vars(session[name].learning_results), content)

    def test_cancel_while_unmixing_leaves_signals_alone(self):
        class Slow:
            def fit(self, scores, n_components, noise):
                tool.cancel()
                return scores[:n_components]

        session = make_session() | {"slow": Slow()}
        tool = make_tool(session, "s_a", unmixing=session["slow"])
        tool.run()
        assert tool.result is None and "Cancelled" in tool.notice
        assert session["s_a"].learning_results.bss_factors is None

    def test_a_run_can_follow_a_cancelled_one(self, tool):
        tool.background = True
        tool.run()
        tool.cancel()
        self.wait(tool)
        tool.run()
        self.wait(tool)
        assert tool.result is not None

    def test_a_change_during_a_run_comes_after_it(self, tool):
        tool.background = True
        tool.run()
        tool.n_components = 2
        self.wait(tool)
        assert tool.result._result.n_components == 2

    def test_errors_of_components_come_after_the_result(self, tool):
        tool.background = True
        seen = []
        tool.observe(lambda event: seen.append((tool.result is not None, event.new)), "bands")
        tool.run()
        self.wait(tool)
        assert seen[-1][0] and set(seen[-1][1].factors) == {"a", "b"}

    def test_a_guess_comes_first_where_the_search_is_long(self):
        tool = make_tool(make_session(), "s_a", "s_b", unmixing="minimum_volume")
        tool.background = True
        tool.run()
        self.wait(tool)
        seen = []
        tool.observe(lambda event: seen.append((tool.preview, event.new)), "result")
        tool.n_components = 5
        self.wait(tool)
        assert [preview for preview, _ in seen] == [True, False]
        assert {h._result.n_components for _, h in seen} == {5}
        np.testing.assert_allclose(seen[1][1].data, tool._base.unmix(n_components=5).data)
        assert not tool.preview

    def test_the_toolkits_loop_gets_every_change(self, tool):
        """With a loop of its own, no trait changes in the thread of the work."""
        calls, threads = [], set()
        tool.background = True
        tool.dispatch = lambda function, *arguments: calls.append((function, arguments))
        tool.observe(
            lambda event: threads.add(threading.current_thread()),
            "stage, progress, result",
        )
        tool.run()
        end = time.monotonic() + 60
        while tool.running and time.monotonic() < end:
            while calls:
                function, arguments = calls.pop(0)
                function(*arguments)
            time.sleep(0.005)
        assert tool.result is not None and threads == {threading.current_thread()}


class TestCode:
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (
                lambda tool: None,
                'h = s_a.fuse(s_b, n_components=3, unmixing="vertex", random_state=0)',
            ),
            (
                lambda tool: candidate(tool, "s_b").trait_set(chosen=False),
                's_a.fuse(n_components=3, unmixing="vertex", random_state=0, interactive=False)',
            ),
            (
                lambda tool: candidate(tool, "s_b").trait_set(name="second", weight="2"),
                'h = s_a.fuse(s_b, n_components=3, names=["a", "second"], weights={"second": 2}, '
                'unmixing="vertex", random_state=0)',
            ),
            (
                lambda tool: tool.trait_set(navigation_mask="vacuum", unmixing="nmf"),
                's_b, n_components=3, unmixing="nmf", navigation_mask=vacuum, random_state=0',
            ),
            (
                lambda tool: candidate(tool, "s_a").trait_set(noise="variance", signal_mask="hot"),
                'noise={"a": variance}, signal_masks={"a": hot}',
            ),
        ],
    )
    def test_is_the_call_and_gives_the_same(self, change, code):
        session = make_session()
        tool = make_tool(session, "s_a", "s_b")
        change(tool)
        tool.run()
        assert code in " ".join(tool.code.split()).replace("( ", "(").replace(", )", ")")
        h = run_code(tool, session)
        np.testing.assert_allclose(h.data, tool.result.data)
        assert session["s_a"].learning_results.bss_factors is not None

    @pytest.mark.parametrize(
        ("change", "merged"),
        [
            (lambda tool: tool.trait_set(n_components=2), True),
            (lambda tool: candidate(tool, "s_b").trait_set(role="support"), True),
            (lambda tool: candidate(tool, "s_b").trait_set(role="passive"), False),
            (lambda tool: candidate(tool, "s_b").trait_set(weight="0"), False),
            (lambda tool: tool.trait_set(random_state="4"), False),
        ],
    )
    def test_after_changes_is_one_call_where_that_gives_the_same(self, change, merged):
        session = make_session()
        tool = make_tool(session, "s_a", "s_b")
        tool.run()
        change(tool)
        assert ("h.unmix(" not in tool.code) is merged
        h = run_code(tool, session)
        np.testing.assert_allclose(h.data, tool.result.data)
        for name in h.modalities:
            np.testing.assert_allclose(h.get_factors(name).data, tool.result.get_factors(name).data)

    def test_objects_without_a_variable_are_named_and_explained(self):
        session = make_session()
        nameless = hs.signals.Signal1D(session["s_b"].data)
        nameless.metadata.General.title = "My EDX, 2nd"
        tool = make_tool(session | {"s_b": nameless}, "s_a", "s_b")
        del tool.session["s_b"]
        tool.run()
        comment, call = tool.code.splitlines()
        assert comment == "# my_edx_2nd: Signal1D 'My EDX, 2nd', which no variable holds"
        assert call.startswith("h = s_a.fuse(my_edx_2nd, n_components=3, ")

    def test_long_calls_are_on_several_lines_of_valid_code(self):
        session = make_session()
        tool = make_tool(session, "s_a", "s_b", "s_4d", "haadf")
        tool.trait_set(navigation_mask="vacuum", unmixing="minimum_volume")
        candidate(tool, "s_4d").role = "support"
        tool.run()
        assert max(map(len, tool.code.splitlines())) < 90
        np.testing.assert_allclose(run_code(tool, session).data, tool.result.data)


class TestReopen:
    def test_shows_the_entries_that_led_there(self):
        session = make_session()
        h = session["s_a"].fuse(
            session["s_4d"],
            n_components=3,
            noise={"a": session["variance"]},
            roles={"patterns": "support"},
            navigation_mask=session["vacuum"],
            random_state=4,
            show_progressbar=False,
        )
        h = h.unmix(n_components=2, unmixing="vertex")
        tool = reopened(h, session)
        assert tool.result is h and tool.problems == [] and not tool.stale
        assert (tool.n_components, tool.automatic, tool.unmixing) == (2, False, "vertex")
        assert (tool.random_state, tool.navigation_mask) == ("4", "vacuum")
        assert [item.variable for item in tool.chosen] == ["s_a", "s_4d"]
        assert [item.role for item in tool.chosen] == ["auto", "support"]
        assert tool.chosen[0].noise == "variance"
        np.testing.assert_allclose(run_code(tool, session).data, h.data)
        tool.unmixing = "face_mixture"
        np.testing.assert_allclose(tool.result.data, h.unmix(unmixing="face_mixture").data)

    def test_a_signal_coupled_later_is_there(self):
        session = make_session()
        h = session["s_a"].fuse(
            session["s_b"], n_components=3, random_state=0, show_progressbar=False
        )
        h.couple(session["s_4d"], name="4D")
        tool = reopened(h, session)
        assert [item.name for item in tool.chosen] == ["a", "b", "4D"]
        assert 'h.couple(s_4d, name="4D")' in tool.code
        assert run_code(tool, session).modalities == ["a", "b", "4D"]
        tool.n_components = 2
        assert tool.result.modalities == ["a", "b", "4D"]

    @pytest.mark.filterwarnings("ignore")
    def test_a_purified_result_says_how_it_was_purified(self, tmp_path):
        session = make_session()
        session["line"] = np.arange(24) >= 12
        h = session["s_a"].fuse(
            session["s_b"], n_components=3, random_state=0, show_progressbar=False
        )
        pure = h.purify(0, "a", session["line"]).purify(1)
        tool = reopened(pure, session)
        assert tool.code.endswith('\nh = h.purify(0, "a", line)\nh = h.purify(1)')
        np.testing.assert_allclose(run_code(tool, session).data, pure.data)
        tool = reopened(h.purify(2, "a", (3.0, 6.0)), session)
        assert tool.code.endswith('\nh = h.purify(2, "a", (3.0, 6.0))')
        tool.n_components = 2
        assert "purify" not in tool.code
        pure.save(tmp_path / "pure.hspy")
        loaded = hs.load(tmp_path / "pure.hspy")
        tool = reopened(loaded, {"loaded": loaded})
        assert tool.code.endswith(
            "\n# Component 1 has then been purified; files do not keep by which feature:"
            "\n# h = h.purify(1, ...)"
        )
        assert loaded.deepcopy()._purifications == ()
        assert len(pure.deepcopy()._purifications) == 2

    @pytest.mark.filterwarnings("ignore")
    def test_a_loaded_result_unmixes_without_its_data(self, tmp_path):
        session = make_session()
        h = session["s_a"].fuse(
            session["s_b"], n_components=3, random_state=0, show_progressbar=False
        )
        h.save(tmp_path / "h.hspy")
        loaded = hs.load(tmp_path / "h.hspy")
        tool = reopened(loaded, {"loaded": loaded})
        tool.n_components = 2
        assert tool.problems[0][0] == "signals"
        assert 'h.attach("a", signal)' in candidate(tool, "").errors["chosen"]
        np.testing.assert_allclose(tool.result.data, h.unmix(n_components=2).data)
        assert tool.code == "h = loaded.unmix(n_components=2, random_state=0)\nh.write_back()"
        tool.run()
        assert tool.result._result.n_components == 2

    def test_an_attached_signal_can_be_fused_again(self, tmp_path):
        session = make_session()
        h = session["s_a"].fuse(
            n_components=3, random_state=0, show_progressbar=False, interactive=False
        )
        h.save(tmp_path / "h.hspy")
        loaded = hs.load(tmp_path / "h.hspy")
        loaded.attach("a", session["s_a"])
        tool = reopened(loaded, session)
        assert tool.problems == [] and tool.chosen[0].variable == "s_a"
        tool.run()
        np.testing.assert_allclose(tool.result.data, h.data)
        assert "s_a.fuse(" in tool.code


class TestKeep:
    def test_in_a_variable(self, ran):
        ran.variable = "fused"
        ran.keep()
        assert ran.session["fused"] is ran.result

    @pytest.mark.parametrize("name", ["", "2h", "my h", "class"])
    def test_in_no_variable(self, ran, name):
        ran.variable = name
        ran.keep()
        assert f"name of a variable, such as h. Got {name!r}" in ran.errors["variable"]

    def test_in_a_file(self, ran, tmp_path):
        ran.file = str(tmp_path / "fused.hspy")
        ran.save()
        np.testing.assert_array_equal(hs.load(ran.file).data, ran.result.data)
        assert "Saved to" in ran.notice
        ran.save()
        assert "which exists" in ran.errors["file"]
        ran.overwrite = True
        ran.save()
        assert "file" not in ran.errors

    @pytest.mark.parametrize("name", ["a_file/h.hspy", "h.what"])
    def test_in_no_file(self, ran, tmp_path, name):
        (tmp_path / "a_file").touch()
        ran.file = str(tmp_path / name)
        ran.save()
        assert "was not saved" in ran.errors["file"]

    def test_nothing_happens_without_a_result(self, tool):
        tool.write_back(), tool.keep(), tool.save(), tool.compute_residuals(), tool.update()
        assert tool.errors == {} and "h" not in tool.session


def seconds_of_change(tool, owner, name, value):
    """Change an option, and then change it back; what others take of the machine does not count."""
    first, old = tool.result, getattr(owner, name)
    began = np.array([time.perf_counter(), time.process_time()])
    setattr(owner, name, value)
    taken = np.min([time.perf_counter(), time.process_time()] - began)
    assert tool.result is not first
    setattr(owner, name, old)
    return taken


@pytest.mark.slow
def test_changes_are_there_within_a_second_at_64_x_64():
    """From the change to the new maps; longer for components too many, or beside other work."""
    phantom = hf.data.tio2_polymorphs()
    session = {f"s{k}": signal for k, signal in enumerate(phantom.signals.values())}
    reads = Reads(session["s0"])
    session |= {"s0": reads.signal, "vacuum": phantom.navigation_mask}
    masks = {"navigation_mask": phantom.navigation_mask}
    tool = make_tool(session, "s0", "s1", "s2", unmixing="face_mixture", **masks)
    tool.run()
    before = reads.count
    patterns = candidate(tool, "s2")
    changes = [
        (tool, "n_components", 2, 1.0),
        (tool, "n_components", 4, 1.3),
        (tool, "n_components", 5, 2.2),
        (tool, "n_components", 6, 3.4),
        (tool, "n_components", 3, 1.0),
        (patterns, "role", "lead", 1.4),
        (patterns, "role", "auto", 1.0),
        (candidate(tool, "s1"), "weight", "0.5", 1.0),
        (candidate(tool, "s1"), "role", "support", 1.0),
        (patterns, "role", "support", 1.0),
        (tool, "unmixing", "minimum_volume", 1.0),
        (tool, "unmixing", "nmf", 1.0),
        (tool, "unmixing", "vertex", 1.0),
    ]
    for owner, name, value, most in changes:
        taken = min(seconds_of_change(tool, owner, name, value) for _ in range(2))
        assert taken < most, f"{name} {value}: {taken:.2f} s"
        setattr(owner, name, value)
    assert reads.count == before


EMPTY = "1 probe position(s) without any counts are excluded."


def session_with_a_hole():
    session = make_session()
    for name in ("s_a", "s_b"):
        session[name].data[3, 4] = 0
    return session


def test_warnings_are_shown_in_every_run_that_gives_them():
    session = session_with_a_hole()
    tool = make_tool(session, "s_a", "s_b")
    said = []
    tool.observe(lambda event: said.append(event.new), "warned")
    tool.run()
    tool.run()
    assert said == [EMPTY, "", EMPTY]
    tool.n_components = 2
    assert tool.warned == EMPTY
    session["s_a"].data[3, 4] = 1
    tool.run()
    assert tool.warned == "" and tool.errors == {}


def test_warnings_of_a_run_in_the_background_come_to_its_own_tool():
    tool, other = (make_tool(session_with_a_hole(), "s_a", "s_b") for _ in range(2))
    tool.background = True
    tool.run()
    tool._job.thread.join()
    assert (tool.warned, other.warned) == (EMPTY, "")


def test_titles_fit_the_narrowest_panels():
    tool = make_tool(make_session(), "s_a", "s_b", "s_4d", "haadf")
    names = {"s_a": "EELS", "s_b": "EDS", "s_4d": "Diffraction", "haadf": "Inner ring, HAADF"}
    for variable, name in names.items():
        candidate(tool, variable).name = name
    tool.run()
    figure = Figure(figsize=(6.36, 4.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    tool.draw_component(figure)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert len(boxes) == 6
    assert all(box.x0 >= 0 and box.x1 <= 636 for box in boxes)
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])
