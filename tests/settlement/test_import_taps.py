"""Whole imports: gate logs into sealed batches, ticks and journeys, on the nine cities' own tables."""

import csv
import io
import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_adapters.catalogue import load_catalogue
from city_adapters.spool import CityKey
from city_adapters.station_mapping import StationMapping
from city_adapters.tap_fields import Pseudonyms, moment_reader
from city_adapters.tap_formats import FeedFormat, FeedSettings
from fare_chain.batch import CityTail, unseal
from fare_chain.errors import Conflict, Unknown, Untrusted
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.key_files import read_public_folder
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.tap import read as read_tap
from fare_chain.tap import records
from settlement.import_taps.folding import Fold
from settlement.import_taps.member_keys import KeyFolders
from settlement.import_taps.run import ImportPlan, _packed, import_taps
from settlement.import_taps.sealing import Signer

UNTIL_US = 1_800_000_000_000_000
HEADER = "tapped_at,city,station_id,gate,kind,medium,issuer,category"
DAY = "2026-03-02"


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture(scope="module")
def run(catalogue):
    """Import a log from memory: the report as JSON, and the journeys' lines."""

    def imported(log, form="csv", *, recorded=None, keys=None, out=None, mapping=None):
        known = FeedFormat(form)
        host = catalogue.city(known.city) if known.city else None
        settings = FeedSettings(
            catalogue.cities, mapping or StationMapping(), Pseudonyms(b"salt"), moment_reader(UNTIL_US), host, recorded
        )
        written = io.StringIO()
        data = log.encode() if isinstance(log, str) else log
        plan = ImportPlan(known, settings, keys, out, written)
        report, names = import_taps([data], catalogue, plan, until_us=UNTIL_US)
        assert report.to_lines(names)
        return json.loads(json.dumps(report.to_json(names))), list(csv.DictReader(written.getvalue().splitlines()))

    return imported


def row(clock, station, kind, medium, *, issuer="shanghai", gate="", more=""):
    city = {"SHA": "shanghai", "HGH": "hangzhou", "SZV": "suzhou"}[station[:3]]
    return f"{DAY}T{clock}+08:00,{city},{station},{gate},{kind},{medium},{issuer},adult{more}"


def text(rows, *, more=""):
    return "\n".join([HEADER + more, *rows]) + "\n"


RIDES = [
    row("08:00:00", "SHA-xinzhuang", "entry", "one"),
    row("09:20:00", "SHA-huaqiao", "exit", "one"),
    row("08:05:00", "SHA-huaqiao", "entry", "two", issuer="hangzhou"),
    row("08:20:00", "SHA-anting", "exit", "two", issuer="hangzhou"),
    row("08:07:00", "HGH-fengqilu", "entry", "two", issuer="suzhou"),
    row("10:00:00", "SHA-huaqiao", "entry", "three"),
]


def test_rides_are_paired_priced_and_netted(run):
    told, journeys = run(text(RIDES))
    assert (told["rows"], told["taps"], told["journeys"], told["one_sided"]) == (6, 6, 2, 2)
    assert told["fare_fen"] == 900 + 300
    assert told["cities"]["shanghai"] == {"taps": 5, "journeys": 2, "fare_fen": 1_200, "one_sided": 1}
    assert told["cities"]["hangzhou"] == {"taps": 1, "journeys": 0, "fare_fen": 0, "one_sided": 1}
    assert told["positions"]["hangzhou"] < 0 < told["positions"]["shanghai"] < 300
    assert told["positions_sum"] == sum(told["positions"].values()) == 0
    assert set(told["positions"]) >= {"scheme", "shanghai", "xuzhou"}
    found = {(one["from_id"], one["to_id"], one["issuer"], one["fare_fen"], one["entered_at"]) for one in journeys}
    assert found == {
        ("SHA-xinzhuang", "SHA-huaqiao", "shanghai", "900", f"{DAY}T00:00:00Z"),
        ("SHA-huaqiao", "SHA-anting", "hangzhou", "300", f"{DAY}T00:05:00Z"),
    }
    for one in journeys:
        assert sum(int(share.rpartition(":")[2]) for share in one["shares"].split(";")) == int(one["fare_fen"])


def test_what_clearing_cannot_use_is_counted_by_reason(run):
    told, _journeys = run(text([RIDES[0], RIDES[0], *RIDES[1:2]]))
    assert told["exceptions"] == {"REPEATED": 1}, "the same row twice is the same tap twice"
    assert (told["journeys"], told["one_sided"], told["taps"]) == (1, 0, 3)


def test_our_fares_are_compared_with_those_of_the_log(run):
    rides = [
        row("08:00:00", "SHA-huaqiao", "entry", "a", more=",0"),
        row("08:20:00", "SHA-anting", "exit", "a", more=",3"),
        row("09:00:00", "SHA-huaqiao", "entry", "b", more=",0"),
        row("09:20:00", "SHA-anting", "exit", "b", more=",4.5"),
        row("09:30:00", "SHA-anting", "exit", "c", more=",7"),
        row("10:00:00", "SHA-huaqiao", "entry", "d", more=","),
        row("10:20:00", "SHA-anting", "exit", "d", more=","),
    ]
    told, journeys = run(text(rides, more=",amount_yuan"))
    amounts = told["amounts"]
    assert (amounts["compared"], amounts["equal"], amounts["ours_fen"], amounts["theirs_fen"]) == (2, 1, 600, 750)
    assert amounts["no_fare"] == 1, "an exit without an entry has no fare of ours"
    (differing,) = amounts["differing"]
    assert (differing["line"], differing["ours_fen"], differing["theirs_fen"]) == (5, 300, 450)
    assert (differing["from_station"], differing["to_station"]) == ("SHA-huaqiao", "SHA-anting")
    assert sorted(one["log_amount_fen"] for one in journeys) == ["", "300", "450"]


def test_the_amounts_of_a_journey_of_two_legs_are_added_up(run, catalogue):
    """Out at one station, in at the other in time: one fare for both legs, and the log has an amount for each."""
    walk = catalogue.table("shanghai").walks[0]
    ids = catalogue.table("shanghai").station_ids
    out, back = ids[walk.from_row], ids[walk.to_row]
    rides = [
        row("08:00:00", "SHA-xinzhuang", "entry", "a", more=",0"),
        row("08:40:00", out, "exit", "a", more=",4"),
        row("08:45:00", back, "entry", "a", more=",0"),
        row("09:30:00", "SHA-huaqiao", "exit", "a", more=",5"),
    ]
    told, (journey,) = run(text(rides, more=",amount_yuan"))
    assert (journey["legs"], journey["from_id"], journey["to_id"], journey["log_amount_fen"]) == (
        "2",
        "SHA-xinzhuang",
        "SHA-huaqiao",
        "900",
    )
    assert (told["amounts"]["compared"], told["amounts"]["no_fare"], told["one_sided"]) == (1, 0, 0)


def test_cards_are_compared_and_the_discounted_told_apart(run):
    log = (
        "1,2026-03-02,08:00:00,11号线花桥,地铁,0,非优惠\n"
        "1,2026-03-02,08:20:00,11号线安亭,地铁,3.0,非优惠\n"
        "2,2026-03-02,08:00:00,11号线花桥,地铁,0,非优惠\n"
        "2,2026-03-02,08:20:00,11号线安亭,地铁,2.0,优惠\n"
        "2,2026-03-02,09:20:00,11号线安亭,公交,2.0,优惠\n"
    )
    told, _journeys = run(log.encode("gb2312"), "shanghai2015")
    amounts = told["amounts"]
    assert (amounts["compared"], amounts["equal"], amounts["discounted"]) == (2, 1, {"compared": 1, "equal": 0})
    assert [one["discounted"] for one in amounts["differing"]] == [True]
    assert told["left_out"] == {"公交": 1}


def test_anonymous_stations_ride_by_the_mapping(run):
    mapping = StationMapping({("1", ""): "HGH-fengqilu", ("2", ""): "HGH-longxiangqiao"})
    log = (
        "time,lineID,stationID,deviceID,status,userID,payType\n"
        "2019-01-07 07:01:33,B,2,300,0,Cab,2\n"
        "2019-01-07 06:41:33,C,1,2952,1,Cab,2\n"
        "2019-01-07 06:41:33,C,80,2952,1,Cab,2\n"
    )
    told, (journey,) = run(log, "hangzhou2019", mapping=mapping)
    assert (journey["from_id"], journey["to_id"], journey["fare_fen"]) == ("HGH-fengqilu", "HGH-longxiangqiao", "200")
    assert told["unmapped"] == [{"station": "80 (line C)", "rows": 1}]
    assert told["amounts"]["compared"] == 0


def batches_of(folder):
    ring = read_public_folder(folder / "members")
    return {
        slug.name: [unseal(path.read_bytes(), ring) for path in sorted(slug.glob("*.batch"))]
        for slug in sorted(folder.iterdir())
        if slug.name not in ("keys", "members")
    }


def test_sealed_batches_verify_and_chain_and_gates_count_without_gaps(run, tmp_path):
    many = [row(f"{8 + n // 60:02}:{n % 60:02}:00", "SHA-huaqiao", "entry", f"m{n}", gate=7 + n % 2) for n in range(200)]
    random.Random(3).shuffle(many)
    told, _journeys = run(text([*many, *RIDES]), out=tmp_path / "out")
    sealed = batches_of(tmp_path / "out")
    assert set(sealed) == {"shanghai", "hangzhou"}
    assert sum(map(len, sealed.values())) == told["batches"]
    for batches in sealed.values():
        tail = CityTail()
        for batch in batches:
            assert CityTail(batch.header.city_seq, batch.header.prev_header) == tail
            assert batch.codes == b""
            tail = tail.after(batch.header)
    taps = [read_tap(record) for batch in sealed["shanghai"] for record in records(batch.body)]
    assert [tap.tapped_at_us for tap in taps] == sorted(tap.tapped_at_us for tap in taps)
    for gate in (7, 8):
        assert [tap.gate_seq for tap in taps if tap.gate == gate] == list(range(1, 101))


def test_a_second_import_goes_on_where_the_first_ended(run, tmp_path):
    first, _journeys = run(text(RIDES[:2]), out=tmp_path)
    second, _journeys = run(text([line.replace(DAY, "2026-03-03") for line in RIDES[:2]]), out=tmp_path)
    (batches,) = batches_of(tmp_path).values()
    assert [batch.header.city_seq for batch in batches] == list(range(first["batches"] + second["batches"]))
    seqs = [read_tap(record).gate_seq for batch in batches for record in records(batch.body)]
    assert sorted(seqs) == [1, 1, 2, 2]


def test_late_taps_are_replayed_as_they_came(run, tmp_path):
    """The exit of nine o'clock came in at ten: the entry waits, and the exit's gate has counted it in its own order."""
    seen = ",recorded_at"
    rides = [
        row("08:00:00", "SHA-huaqiao", "entry", "a", more=f",{DAY}T08:00:01+08:00"),
        row("09:00:00", "SHA-anting", "exit", "a", gate=5, more=f",{DAY}T10:00:00+08:00"),
        row("09:30:00", "SHA-anting", "entry", "b", gate=5, more=f",{DAY}T09:30:01+08:00"),
    ]
    told, journeys = run(text(rides, more=seen), recorded="recorded_at", out=tmp_path)
    assert (told["journeys"], told["one_sided"]) == (1, 1)
    (batches,) = batches_of(tmp_path).values()
    came = [(tap.kind.name, tap.gate_seq) for batch in batches for tap in map(read_tap, records(batch.body))]
    assert came == [("ENTRY", 1), ("ENTRY", 2), ("EXIT", 1)]
    assert [one["fare_fen"] for one in journeys] == ["300"]


def test_a_tap_that_came_in_long_before_it_was_made_is_from_the_future(run):
    rides = [row("08:00:00", "SHA-huaqiao", "entry", "a", more=f",{DAY}T06:00:00+08:00")]
    told, _journeys = run(text(rides, more=",recorded_at"), recorded="recorded_at")
    assert told["exceptions"] == {"FROM_FUTURE": 1}


def test_a_last_ride_that_might_have_gone_on_is_in_the_positions(run, catalogue):
    """It is cleared only once no transfer can follow, after the log's last minute."""
    table = catalogue.table("shanghai")
    out = table.station_ids[table.walks[0].from_row]
    told, _journeys = run(
        text([row("08:00:00", "SHA-xinzhuang", "entry", "a", issuer="suzhou"), row("08:40:00", out, "exit", "a", issuer="suzhou")])
    )
    assert told["journeys"] == 1
    assert told["positions"]["suzhou"] < 0 < told["positions"]["shanghai"]


@st.composite
def logs(draw):
    """Rows of a few riders at a few stations, in an order, and the same rows in another."""
    rows = draw(
        st.lists(
            st.builds(
                lambda minute, place, kind, rider: row(f"08:{minute:02}:00", place, kind, f"rider{rider}", gate=1 + rider % 2),
                st.integers(0, 59),
                st.sampled_from(["SHA-huaqiao", "SHA-anting", "SHA-xinzhuang", "SZV-huaqiao", "HGH-fengqilu"]),
                st.sampled_from(["entry", "exit", "transfer_entry", "transfer_exit"]),
                st.integers(0, 3),
            ),
            min_size=1,
            max_size=25,
        )
    )
    return rows, draw(st.permutations(rows))


@given(logs())
@settings(max_examples=25, deadline=None)
def test_any_order_of_a_logs_rows_gives_the_same_journeys_and_fares(run, both):
    one, other = (run(text(rows)) for rows in both)
    for told, _journeys in (one, other):
        for name in ("seconds", "rows_per_second", "state_root"):
            del told[name]
    assert one[0] == other[0]

    def without_draw(journeys):
        return sorted(tuple(value for name, value in one.items() if name != "shares") for one in journeys)

    assert without_draw(one[1]) == without_draw(other[1])


def key_folders(folder, *, begins_us, name="shanghai-batch", use=KeyUse.BATCH):
    key = SigningKey.generate()
    public = PublicKey(MemberNumber(1), use, key.public, Micros(begins_us), Micros(UNTIL_US))
    write_member_key(folder / "keys", folder / "members", name, key, public)
    return KeyFolders(folder / "keys", folder / "members")


def test_a_citys_own_key_signs_where_it_is_given(run, tmp_path):
    folders = key_folders(tmp_path, begins_us=0)
    run(text(RIDES[:2]), keys=folders, out=tmp_path / "out")
    ring = read_public_folder(folders.public)
    assert len([unseal(path.read_bytes(), ring) for path in (tmp_path / "out" / "shanghai").glob("*.batch")]) == 2
    with pytest.raises(Unknown, match=r"hangzhou-batch\.key"):
        run(text(RIDES), keys=folders)


def test_a_key_that_was_not_valid_then_is_refused_with_the_remedy(run, tmp_path):
    folders = key_folders(tmp_path, begins_us=UNTIL_US - 1)
    with pytest.raises(Untrusted, match="keys new --from"):
        run(text(RIDES[:2]), keys=folders)


def test_a_key_of_another_use_is_not_taken(run, tmp_path):
    folders = key_folders(tmp_path, begins_us=0, use=KeyUse.ISSUER)
    with pytest.raises(Untrusted, match="none of shanghai's BATCH keys"):
        run(text(RIDES[:2]), keys=folders)


def test_a_broken_law_stops_an_import(catalogue, monkeypatch):
    from settlement.import_taps import folding

    monkeypatch.setattr(folding, "laws", lambda *_states: ["a breach"])
    with pytest.raises(Conflict, match="a breach"):
        Fold(_packed(catalogue), 1_772_409_600_000_000)


def test_a_fold_is_the_ledgers_own(catalogue):
    """The ticks that an import clears in memory are entries that chain: each window's entry is the fold's."""
    fold = Fold(_packed(catalogue), 1_772_409_600_000_000)
    key = SigningKey(bytes(32))
    public = PublicKey(MemberNumber(1), KeyUse.BATCH, key.public, Micros(0), Micros(UNTIL_US))
    assert Signer(CityKey(1, key, public.key_id), public, CityTail()).chain.next_seq == 0
    before = fold.head.size
    cleared = list(fold.finish())
    assert fold.head.size == fold.state.next_index > before
    assert sum(each.taps for each in cleared) == 0
    assert not fold.state.window.delta_roots


def command(*words):
    program = [sys.executable, "-c", "from fare_chain.command_line import main; main()"]
    return subprocess.run([*program, "import-taps", *map(str, words)], capture_output=True, text=True, check=False)


def test_the_command_reports_in_json_and_refuses_by_name(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(text([*RIDES, "broken"]))
    answer = command(log, "--format", "csv", "--json", "--out", tmp_path / "out", "--journeys", tmp_path / "journeys.csv")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["rows"], told["taps"], told["journeys"], told["fare_fen"]) == (7, 6, 2, 1_200)
    assert [problem["line"] for problem in told["problems"]] == [8]
    assert len((tmp_path / "journeys.csv").read_text().splitlines()) == 3
    assert sum(map(len, batches_of(tmp_path / "out").values())) == told["batches"]
    shown = command(log, "--format", "csv")
    assert "line 8: the row has 1 fields" in shown.stdout
    short = tmp_path / "salt"
    short.write_bytes(b"pepper")
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER + "\nx\n")
    for words, code, said in (
        ((tmp_path / "none.csv", "--format", "csv"), 1, "Unknown: "),
        ((log, "--format", "gtfs"), 1, "Malformed: --format is 'gtfs'"),
        ((log, "--format", "csv", "--keys", tmp_path), 1, "--keys and --members go together"),
        ((log, "--format", "csv", "--house", "http://127.0.0.1:1"), 1, "give --keys and --members"),
        ((log, "--format", "csv", "--salt-file", short), 1, "a salt that cannot be guessed"),
        ((log, "--format", "csv", "--mapping", tmp_path / "none.toml"), 1, "Unknown: "),
        ((empty, "--format", "csv"), 1, ""),
    ):
        bad = command(*words)
        assert (bad.returncode, said in bad.stderr) == (code, True), bad.stderr
        assert "Traceback" not in bad.stderr


def test_the_same_salt_gives_the_same_media_and_no_salt_new_ones(tmp_path):
    log, salt = tmp_path / "log.csv", tmp_path / "salt"
    log.write_text(text(RIDES[:2]))
    salt.write_bytes(bytes(range(32)))
    media = []
    for words in (("--salt-file", salt), ("--salt-file", salt), (), ()):
        assert command(log, "--format", "csv", "--journeys", tmp_path / "journeys.csv", *words).returncode == 0
        media.append((tmp_path / "journeys.csv").read_text().splitlines()[1].split(",")[0])
    assert media[0] == media[1]
    assert len(set(media)) == 3
