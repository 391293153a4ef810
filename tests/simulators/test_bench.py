"""The bench at tiny sizes: every figure is there, ratios come from the same run, keys stay; how fast is nobody's test."""

import json
import time
from contextlib import closing

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from city_adapters.catalogue import load_catalogue
from city_adapters.table_compiler import compile_agreement, compile_city
from city_adapters.table_packing import pack_agreement, pack_city
from fare_chain.batch import unseal
from fare_chain.errors import Unknown
from fare_chain.tap import TAP_BYTES, TapKind
from simulators import bench_command
from simulators.bench import BENCHES, Bench, measuring_folder
from simulators.bench_report import to_json
from simulators.ceilings import IN_THE_DATABASE, MEGABYTE, ON_THE_PROCESSOR
from simulators.figures import Figure, Rate, measure, percentile, rate_of
from simulators.nine_cities import Sealer, assemble, rush_hour, show_codes

SECONDS = 0.02
KEYS = {"rate", "unit", "ns_each", "spread", "ceiling", "ratio", "facts"}
STEPS = (
    "pair",
    "journey-ids",
    "price",
    "discount",
    "charge",
    "record",
    "apportion",
    "oblige",
    "border-joins",
    "delta-root",
    "laws",
)
STAGES = {"seal", "intake", "intake-64", "codes-issue", "codes-verify", "gate", "fold", "ledger", "clearing", "mirror", "audit"}
NAMES = {
    *ON_THE_PROCESSOR,
    *IN_THE_DATABASE,
    *STAGES,
    "audit-signatures",
    "tables-compile",
    "tables-cached",
    "close",
    "restart",
    *(f"fold/{step}" for step in STEPS),
}


@pytest.fixture(scope="module")
def two_cities():
    """The two smallest networks with the real agreement: compiled in a moment."""
    catalogue = load_catalogue()
    cities = [catalogue.city("wenzhou"), catalogue.city("xuzhou")]
    numbers = {city.code: int(city.number) for city in catalogue.cities}
    packed = [(0, pack_agreement(compile_agreement(dated, numbers))) for dated in catalogue.agreements]
    packed += [(int(city.number), pack_city(compile_city(city))) for city in cities]
    return assemble(packed, cities, time.time_ns() // 1000)


def tiny_bench(folder, cities, url="", say=lambda _what: None):
    bench = Bench(SECONDS, folder, say, tick_taps=300)
    bench.cities = cities
    if url:
        bench.server_url = url
    return bench


@pytest.fixture(scope="module")
def whole_run(two_cities, postgres_url, tmp_path_factory):
    """Everything that `fare-chain bench` measures, once: (figures by name, JSON as written)."""
    folder = tmp_path_factory.mktemp("bench")
    with closing(tiny_bench(folder, two_cities, postgres_url)) as bench:
        figures = list(bench.figures(BENCHES))
        return {figure.name: figure for figure in figures}, json.loads(json.dumps(to_json(figures, bench.about())))


def test_every_figure_is_produced(whole_run):
    figures, _told = whole_run
    assert set(figures) == NAMES
    assert all(figure.rate.per_second > 0 for figure in figures.values())


def test_keys_are_stable(whole_run):
    _figures, told = whole_run
    assert set(told) == {"machine", "seconds", "postgresql", "figures"}
    assert {"processor", "cores", "load", "python"} <= set(told["machine"])
    assert all(set(figure) == KEYS for figure in told["figures"].values())


def test_ratios_are_of_two_figures_of_the_same_run(whole_run):
    figures, _told = whole_run
    bounded = [figure for figure in figures.values() if figure.ceiling]
    assert {figure.name for figure in bounded} == STAGES | {"audit-signatures"}
    for figure in bounded:
        each = TAP_BYTES / MEGABYTE if figure.ceiling == "copy" else 1
        assert figure.ratio == pytest.approx(figure.rate.per_second * each / figures[figure.ceiling].rate.per_second)


def test_postgresql_says_itself_that_it_waits_for_the_disk(whole_run):
    figures, told = whole_run
    assert (told["postgresql"]["fsync"], told["postgresql"]["synchronous_commit"]) == ("on", "on")
    for name in ("ledger", "clearing"):
        assert figures[name].facts["wal_fsyncs"] > 0
        assert figures[name].facts["wal_bytes"] > figures[name].facts["taps"] * TAP_BYTES


def test_the_house_cleared_what_it_was_fed(whole_run):
    facts = whole_run[0]["clearing"].facts
    assert 0 < facts["journeys"] < facts["taps"]
    assert facts["batches"] * 4096 >= facts["taps"] > facts["batches"]
    assert facts["memory_begin_mb"] > 0


def test_the_audit_verified_the_ledger_that_the_house_wrote(whole_run):
    figures, _told = whole_run
    assert figures["audit"].facts["taps"] >= figures["clearing"].facts["taps"]
    assert (figures["audit"].facts["codes"], figures["audit"].facts["windows"] > 0) == (0, True)
    signed = figures["audit-signatures"].facts
    assert signed["codes"] == signed["taps"] > 100


def test_a_house_that_starts_after_another_has_all_that_it_cleared(whole_run):
    facts = whole_run[0]["restart"].facts
    assert facts["taps"] >= whole_run[0]["clearing"].facts["taps"]
    assert facts["seconds"] > 0


def test_the_mirror_cosigned_the_ledger_that_the_house_wrote(whole_run):
    facts, audited = whole_run[0]["mirror"].facts, whole_run[0]["audit"].facts
    assert (facts["taps"], facts["entries"]) == (audited["taps"], audited["entries"])
    assert facts["cosignatures"] > 1


def test_closing_a_window_is_measured_on_a_second_with_taps(whole_run):
    facts = whole_run[0]["close"].facts
    assert facts["taps_in_the_window"] > 0
    assert 0 < facts["p50_ms"] <= facts["p99_ms"]


def test_a_ceiling_is_measured_once_a_run(two_cities, tmp_path):
    said = []
    with closing(tiny_bench(tmp_path, two_cities, say=said.append)) as bench:
        list(bench.figures(["seal", "intake"]))
    assert said.count("sha256-leaf") == 1


def test_an_unknown_name_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(Unknown, match=r"no bench 'speed'; there are ceilings, tables, seal, .*audit"):
        list(Bench(SECONDS, tmp_path).figures(["ceilings", "speed"]))


def test_the_command_writes_one_json_object_and_leaves_nothing(tmp_path):
    app = typer.Typer()
    bench_command.add_bench(app)
    answer = CliRunner().invoke(app, ["seal", "--seconds", "0.01", "--data", str(tmp_path), "--json"], catch_exceptions=False)
    assert set(json.loads(answer.stdout)["figures"]) == {"seal"}
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_every_figure_and_its_ceiling(capsys):
    from simulators.bench_report import show

    ceiling = Figure("flat", "taps", Rate(2_000_000.0))
    show([ceiling, Figure("seal", "taps", Rate(500_000.0), facts={"taps_a_batch": 7}).against(ceiling)], {"seconds": 1.0})
    assert ["seal", "500,000", "taps/s", "2,000", "0.25", "flat"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_folder_to_measure_in_is_removed_whatever_happens(tmp_path):
    def fail_within():
        with measuring_folder(tmp_path) as folder:
            (folder / "left").write_text("over")
            raise Unknown("stop")

    with pytest.raises(Unknown, match="stop"):
        fail_within()
    assert list(tmp_path.iterdir()) == []


def test_a_rate_is_the_median_of_its_slices():
    assert rate_of([1.0, 9.0, 2.0, 3.0, 2.0]) == Rate(2.0, 4.0)
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], 50) == 3.0
    assert percentile([5.0, 1.0], 99) == 5.0
    assert measure(lambda: 1, 0.0).per_second > 0


def test_a_rush_hour_is_the_same_from_the_same_seed_and_tapped_in_order(two_cities):
    hour, again = (rush_hour(two_cities, rides=400, seed=5) for _turn in range(2))
    assert hour.taps.tobytes() == again.taps.tobytes()
    assert (np.diff(hour.taps["tapped_at_us"]) >= 0).all()
    assert 400 <= len(hour.taps) <= 800
    entries = hour.taps["kind"] == TapKind.ENTRY
    assert entries.sum() == 400
    assert hour.taps["tapped_at_us"].max() < two_cities.now_us


def test_sealed_batches_hold_with_the_codes_that_were_shown(two_cities):
    taps, codes = show_codes(rush_hour(two_cities, rides=20, seed=5), seed=5)
    sealed = Sealer().seal(taps, codes, width=16)
    assert sum(unseal(batch.to_bytes(), two_cities.ring()).header.count for batch in sealed) == len(taps) == len(codes)
