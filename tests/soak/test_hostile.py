"""The verdict of the soak with hostile clients."""

from __future__ import annotations

from xml.etree import ElementTree

from e2e.hostile import GROWTH_LIMIT_KIB, Sample, Tally, growth_kib, plot, report


def samples(*sizes: int) -> list[Sample]:
    return [Sample(index * 30.0, size, 10, 10, 0, 10, 5) for index, size in enumerate(sizes)]


FLAT = samples(*[40_000] * 8)


def test_a_soak_that_lost_nothing_is_fine() -> None:
    assert report(Tally(), FLAT)[1]


def test_a_lost_answer_is_not_fine_and_is_named() -> None:
    text, fine = report(Tally(losses=["chat: ReadTimeout"]), FLAT)
    assert ("lost, chat: ReadTimeout" in text, fine) == (True, False)


def test_a_stored_response_that_another_client_can_read_is_not_fine() -> None:
    assert not report(Tally(foreign_reads=1), FLAT)[1]


def test_memory_that_grows_after_the_warm_up_is_not_fine() -> None:
    grown = samples(*[40_000] * 6, *[41_000 + GROWTH_LIMIT_KIB] * 2)
    assert not report(Tally(), grown)[1]


def test_the_warm_up_and_single_peaks_do_not_count_as_growth() -> None:
    assert growth_kib(samples(20_000, 20_000, 40_000, 90_000, 40_000, 40_000, 40_000, 40_000, 40_000)) <= 0


def test_the_plot_is_svg_with_both_curves() -> None:
    root = ElementTree.fromstring(plot(FLAT))
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
