"""An archive on disk becomes a whole folder or none, and the command says what happened."""

import json
import zipfile

import pytest
import typer
from typer.testing import CliRunner

from city_adapters.commands import add_to
from city_adapters.gtfs.city_import import Asked
from city_adapters.gtfs_archive import import_archive
from fare_chain.errors import Conflict, Malformed, Unknown
from tests.city_adapters.gtfs_feeds import feed


@pytest.fixture
def archive(tmp_path):
    def archive(files=None, inside=""):
        path = tmp_path / "feed.zip"
        with zipfile.ZipFile(path, "w") as to:
            for name, data in (files or feed()).items():
                to.writestr(inside + name, data)
        return path

    return archive


@pytest.fixture
def run():
    app = typer.Typer()
    add_to(app)

    def run(feed, folder, *more, number=10, code="RVM", slug="rivermouth"):
        words = ["city", "import-gtfs", feed, folder, "--number", number, "--code", code, "--slug", slug, *more]
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_an_archive_becomes_a_folder_and_nothing_is_left_beside_it(run, archive, tmp_path):
    folder = tmp_path / "cities" / "rivermouth"
    result = run(archive(), folder, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["written"], told["stations"], told["lines"], told["links"]) == (0, True, 7, 2, 8)
    assert {"file", "line", "severity", "message", "remedy"} == set(told["feed"][0]) == set(told["findings"][0])
    assert [path.name for path in folder.parent.iterdir()] == ["rivermouth"]
    assert {path.name for path in folder.iterdir()} == {
        "city.toml", "stations.csv", "lines.csv", "links.csv", "transfers.csv", "operators.csv", "examples.csv",
        "tariff-2026-03-01.toml", "split-2026-03-01.toml",
    }  # fmt: skip


def test_a_feed_in_a_folder_of_its_archive_is_read_too(run, archive, tmp_path):
    result = run(archive(inside="gtfs/2026/"), tmp_path / "rivermouth", "--name-zh", "河口", "--route-type", "1,2")
    assert result.exit_code == 0
    assert "7 stations, 2 lines" in result.stdout
    assert 'name_zh = "河口"' in (tmp_path / "rivermouth" / "city.toml").read_text(encoding="utf-8")


def test_an_error_in_the_feed_leaves_no_folder(run, archive, tmp_path):
    result = run(archive(feed(stops=None)), tmp_path / "cities" / "rivermouth")
    assert result.exit_code == 1
    assert "stops.txt: error: is missing" in result.stdout
    assert "is not written: correct the errors first" in result.stdout
    assert not (tmp_path / "cities").exists()


def test_a_death_while_writing_leaves_no_folder(archive, tmp_path, monkeypatch):
    def die(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("city_adapters.gtfs_archive.lint", die)
    asked = Asked(10, "RVM", "rivermouth", "河口", "Rivermouth")
    with pytest.raises(KeyboardInterrupt):
        import_archive(archive(), tmp_path / "cities" / "rivermouth", asked)
    assert list((tmp_path / "cities").iterdir()) == []


def test_a_folder_that_is_there_is_never_overwritten(run, archive, tmp_path):
    (tmp_path / "rivermouth").mkdir()
    with pytest.raises(Conflict, match="is there already"):
        run(archive(), tmp_path / "rivermouth")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"slug": "elsewhere"}, "call both the same"),
        ({"code": "rvm"}, "three capital letters"),
        ({"number": 65536}, "from 1 to 65535"),
    ],
)
def test_what_the_folder_would_refuse_is_refused_at_once(run, archive, tmp_path, changes, found):
    with pytest.raises(Malformed, match=found):
        run(archive(), tmp_path / "rivermouth", **changes)


def test_an_option_that_cannot_be_read_says_how_to_write_it(run, archive, tmp_path):
    with pytest.raises(Malformed, match="no route type: give whole numbers"):
        run(archive(), tmp_path / "rivermouth", "--route-type", "metro")
    assert run(archive(), tmp_path / "rivermouth", "--as-of", "1 May").exit_code == 2


def test_what_is_no_archive_is_refused(run, tmp_path):
    (tmp_path / "feed.zip").write_bytes(b"no zip")
    with pytest.raises(Malformed, match="not a zip archive"):
        run(tmp_path / "feed.zip", tmp_path / "rivermouth")
    with pytest.raises(Unknown, match="cannot be read"):
        run(tmp_path / "nothing.zip", tmp_path / "rivermouth")
