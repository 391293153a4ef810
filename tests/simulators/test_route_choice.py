"""A simulated population whose true paths are known: splits over several paths come closer to it than the shortest path."""

import json

import pytest
import typer
from typer.testing import CliRunner

from city_adapters.catalogue import load_catalogue
from simulators.commands import add_to
from simulators.route_choice import try_split


@pytest.mark.parametrize(("city", "least_gain"), [("shanghai", 1.4), ("hangzhou", 1.2)])
def test_a_split_over_several_paths_is_closer_to_what_riders_rode_than_the_shortest_path(city, least_gain):
    trial = try_split(load_catalogue().city(city), riders=1200, seed=7)
    print(trial)
    assert 0 < trial.by_rule.of_rides * least_gain < trial.by_shortest_path.of_rides < 0.3
    assert trial.by_rule.of_totals < trial.by_shortest_path.of_totals
    assert trial.by_rule.of_totals <= trial.by_rule.of_rides


def test_one_seed_gives_one_population():
    city = load_catalogue().city("hangzhou")
    assert try_split(city, riders=50, seed=3) == try_split(city, riders=50, seed=3) != try_split(city, riders=50, seed=4)


def test_the_command_tells_both_errors_and_passes_where_the_rule_is_better():
    app = typer.Typer()
    add_to(app)
    told = CliRunner().invoke(app, ["simulate", "split", "--city", "HGH", "--riders", "300", "--json"])
    assert told.exit_code == 0, told.output
    trial = json.loads(told.stdout)
    assert trial["rule_error"]["of_rides"] < trial["shortest_path_error"]["of_rides"]
    shown = CliRunner().invoke(app, ["simulate", "split", "--city", "HGH", "--riders", "300"])
    assert "the shortest path" in shown.stdout
    alone = CliRunner().invoke(app, ["simulate", "split", "--city", "XUZ", "--riders", "30"])
    assert alone.exit_code == 1, "one operator: no rule can be better than another"
