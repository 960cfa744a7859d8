"""The meter: measured where it is counted, estimated else, unknown where a part can't be read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from made_counters import Clock, Nvml, count, zone

from sprat.energy import Meter, meter, processor, share
from sprat.errors import BadInput, CannotDo

NONE = Path("/nonexistent")
NO_GPU = Nvml(begins=False)


def test_packages_and_boards_add_up_and_are_measured(tmp_path: Path) -> None:
    first, second = (zone(tmp_path, f"intel-rapl:{i}", f"package-{i}", 100) for i in (0, 1))
    library, clock = Nvml(1_000_000), Clock()
    with Meter(powercap=tmp_path, library=library, clock=clock) as m:
        count(first, 103)
        count(second, 104)
        library.millijoules[0] = 1_005_000
        clock.now += 2
    assert (m.joules, m.low, m.high) == (pytest.approx(12), pytest.approx(12), pytest.approx(12))
    assert (m.method, m.confidence, m.seconds) == ("NVML + RAPL", "measured", 2)


def test_a_wrap_while_it_runs_is_counted(tmp_path: Path) -> None:
    folder, clock = zone(tmp_path, "intel-rapl:0", "package-0", 262_140, 262_143), Clock()
    with Meter(powercap=tmp_path, library=NO_GPU, clock=clock) as m:
        count(folder, 7)
        clock.now += 1
    assert m.joules == pytest.approx(10)


def test_a_reset_makes_a_board_unknown_and_so_the_sum() -> None:
    library, clock = Nvml(1_000_000), Clock()
    with Meter(powercap=NONE, library=library, clock=clock) as m:
        library.millijoules[0] = 5
        clock.now += 1
    assert (m.joules, m.confidence) == (None, "unknown")
    assert m.parts[-1].joules is not None  # the processor's part is still told


def test_a_board_that_does_not_count_is_unknown_not_nothing() -> None:
    with Meter(powercap=NONE, library=Nvml(None)) as m:
        pass
    assert (m.joules, m.parts[0].joules) == (None, None)


def test_rapl_that_may_not_be_read_falls_back_and_says_so(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0")
    (folder / "energy_uj").unlink()
    (folder / "energy_uj").mkdir()
    with Meter(powercap=tmp_path, library=NO_GPU) as m:
        pass
    assert (m.method, m.confidence) == ("CPU seconds x TDP, estimated", "estimated")
    assert "RAPL is there, but package-0 can't be read" in m.energy.notes[0]


def test_one_package_lost_is_no_half_sum(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    (zone(tmp_path, "intel-rapl:1", "package-1") / "energy_uj").unlink()
    with Meter(powercap=tmp_path, library=NO_GPU) as m:
        pass
    assert [p.confidence for p in m.parts] == ["estimated"]


def test_without_counters_cpu_seconds_are_weighed_with_the_watts_given() -> None:
    with Meter(watts_per_core=7.0, powercap=NONE, library=NO_GPU) as m:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    assert m.cpu_seconds is not None
    assert m.cpu_seconds >= 0.04
    assert m.joules == pytest.approx(7 * m.cpu_seconds)


def test_sleeping_draws_next_to_nothing_by_cpu_seconds() -> None:
    with Meter(watts_per_core=5.0, powercap=NONE, library=NO_GPU) as m:
        time.sleep(0.05)
    assert m.cpu_seconds is not None
    assert m.cpu_seconds < 0.04


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_children_that_were_waited_for_count() -> None:
    with Meter(watts_per_core=5.0, powercap=NONE, library=NO_GPU) as m:
        child = os.fork()
        if child == 0:
            until = time.process_time() + 0.05
            while time.process_time() < until:
                pass
            os._exit(0)
        os.waitpid(child, 0)
    assert m.cpu_seconds is not None
    assert m.cpu_seconds >= 0.04


def test_it_can_be_used_again_and_begins_anew() -> None:
    running = meter()
    with running:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    first = running.joules
    with running:
        pass
    assert first is not None
    assert running.joules is not None
    assert running.joules < first


def test_it_lets_go_of_nvml_also_after_an_error() -> None:
    library = Nvml(1)
    with pytest.raises(ZeroDivisionError), Meter(powercap=NONE, library=library):
        raise ZeroDivisionError
    assert library.open == 0


def test_read_too_early_it_says_so() -> None:
    with meter() as m, pytest.raises(CannotDo, match="still running"):
        _ = m.joules


@pytest.mark.parametrize("name", ["AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"])
def test_a_known_processors_share_by_hand(name: str) -> None:
    known = share(name)
    assert (known.watts, known.low, known.high) == (280 / 64, 280 / 128, 2 * 280 / 64)


def test_the_marks_of_a_trade_name_do_not_hide_the_model() -> None:
    assert share("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz").watts == pytest.approx(120 / 14)


def test_a_longer_model_is_not_taken_for_a_shorter_one() -> None:
    assert "is not in the table" in share("AMD EPYC 7763X").note


def test_an_unknown_processors_default_is_said() -> None:
    assert "5 W per core assumed, 2 to 12" in share("Some Chip").note


@pytest.mark.parametrize("watts", [0.0, -1.0, float("nan"), float("inf")])
def test_watts_that_cannot_be_are_refused(watts: float) -> None:
    with pytest.raises(BadInput):
        share(watts=watts)


def test_a_machine_that_does_not_say_its_model(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert processor.processor(tmp_path / "cpuinfo") == ""
