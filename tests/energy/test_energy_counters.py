"""RAPL and NVML: what is counted, over wraps and resets, and what is not counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_counters import Clock, Nvml, count, zone

from sprat.energy import nvml, rapl
from sprat.energy.tally import Tally
from sprat.errors import BadInput


class Wrapping:
    """A counter that begins anew, as RAPL's."""

    name, wraps_at = "package-0", 1000.0

    def __init__(self) -> None:
        self.true = 0.0

    def read(self) -> float:
        return self.true % self.wraps_at


@given(st.floats(0, 999), st.lists(st.floats(0, 999), max_size=20))
def test_over_any_number_of_wraps_a_tally_is_the_true_sum(start: float, steps: list[float]) -> None:
    counter, clock = Wrapping(), Clock()
    counter.true = start
    tally = Tally(counter, clock)
    for step in steps:
        counter.true, clock.now = counter.true + step, clock.now + 1
        tally.advance()
    assert (tally.joules, tally.lost) == (pytest.approx(sum(steps), abs=1e-6), "")


def test_a_counter_is_looked_at_before_it_can_wrap_at_the_most_that_is_drawn() -> None:
    within = Tally(Wrapping(), Clock()).look_within
    assert within is not None
    assert within * 2000 <= Wrapping.wraps_at


def test_a_jump_that_no_package_can_make_is_a_reset_not_a_wrap(tmp_path: Path) -> None:
    folder, clock = zone(tmp_path, "intel-rapl:0", "package-0", 200_000), Clock()
    tally = Tally(rapl.zones(tmp_path)[0], clock)
    count(folder, 10)
    clock.now += 1
    tally.advance()
    assert "reset, or wrapped unseen" in tally.lost


def test_a_counter_that_does_not_wrap_and_goes_back_was_reset() -> None:
    library, clock = Nvml(5_000_000), Clock()
    tally = Tally(nvml.boards(library=library)[0][0], clock)
    library.millijoules[0] = 1000
    clock.now += 10
    tally.advance()
    assert "it was reset" in tally.lost


def test_a_counter_that_is_lost_stays_lost() -> None:
    library, clock = Nvml(5_000_000), Clock()
    tally = Tally(nvml.boards(library=library)[0][0], clock)
    for said in (1000, 2000):
        library.millijoules[0] = said
        clock.now += 10
        tally.advance()
    assert "went back from 5000.0 to 1.0" in tally.lost


def test_packages_and_their_memory_are_counted_and_nothing_twice(tmp_path: Path) -> None:
    for name, called in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "uncore"),
        ("intel-rapl:0:2", "dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:1:0", "dram"),
        ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        zone(tmp_path, name, called)
    zone(tmp_path, "intel-rapl", "control")
    assert [z.name for z in rapl.zones(tmp_path)] == [
        "package-0",
        "package-1",
        "dram of intel-rapl:0",
        "dram of intel-rapl:1",
    ]


def test_memory_listed_only_within_its_package_is_found(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:0/intel-rapl:0:0", "dram")
    assert [z.name for z in rapl.zones(tmp_path)] == ["package-0", "dram of intel-rapl:0"]


def test_the_whole_platform_is_taken_where_there_is_no_package(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys")
    assert [z.name for z in rapl.zones(tmp_path)] == ["psys"]


def test_no_powercap_is_no_zone(tmp_path: Path) -> None:
    assert rapl.zones(tmp_path / "none") == []


def test_joules_are_a_millionth_of_what_the_file_says(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0")
    (folder / "energy_uj").write_text("1234567\n")
    assert rapl.zones(tmp_path)[0].read() == pytest.approx(1.234567)


def test_a_file_without_a_number_is_said(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0")
    (folder / "energy_uj").write_text("")
    assert "holds no number" in Tally(rapl.zones(tmp_path)[0], Clock()).lost


def test_a_board_counts_in_millijoules() -> None:
    assert nvml.boards(library=Nvml(12_345))[0][0].read() == pytest.approx(12.345)


def test_only_the_boards_asked_for_are_counted() -> None:
    assert [b.name for b in nvml.boards((1,), Nvml(1, 2, 3))[0]] == ["GPU 1"]


def test_a_board_that_is_not_there_is_said() -> None:
    with pytest.raises(BadInput, match="There are 1 graphics"):
        nvml.boards((1,), Nvml(1))


@pytest.mark.parametrize(("there", "said"), [(True, 1), (False, 0)])
def test_nvml_that_does_not_begin_matters_where_there_is_a_driver(tmp_path: Path, there: bool, said: int) -> None:
    driver = tmp_path / "version"
    if there:
        driver.write_text("NVRM")
    boards, missing = nvml.boards(library=Nvml(begins=False), driver=driver)
    assert (boards, len(missing)) == ([], said)
