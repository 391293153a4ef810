"""Gate logs row by row: three formats, two encodings, mappings, and every way in which a row can be wrong."""

import numpy as np
import pytest

from city_adapters.catalogue import load_catalogue
from city_adapters.station_mapping import StationMapping, read_mapping
from city_adapters.tap_feed import LOGGED_TAP, MOST_PROBLEMS, FeedTally, read_feed
from city_adapters.tap_fields import Pseudonyms, moment_reader
from city_adapters.tap_formats import FeedFormat, FeedSettings
from fare_chain.errors import Malformed
from fare_chain.tap import FIELDS, TapKind

BEFORE_US = 1_800_000_000_000_000
HEADER = "tapped_at,city,station_id,gate,kind,medium,issuer,category\n"
ROW = "2026-03-02T08:00:00+08:00,shanghai,SHA-xinzhuang,12,entry,card 1,hangzhou,adult"
NUMBERED = "time,lineID,stationID,deviceID,status,userID,payType\n"


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture
def read(catalogue):
    """Read a log's text or bytes: its taps in one array, and the tally."""

    def read_all(log, form, *, mapping=None, recorded=None, salt=b"salt", block=1 << 20):
        known = FeedFormat(form)
        host = catalogue.city(known.city) if known.city else None
        settings = FeedSettings(
            catalogue.cities, mapping or StationMapping(), Pseudonyms(salt), moment_reader(BEFORE_US), host, recorded
        )
        data = log.encode() if isinstance(log, str) else log
        tally = FeedTally()
        blocks = (data[at : at + block] for at in range(0, len(data), block))
        runs = list(read_feed(blocks, known, settings, tally))
        taps = np.concatenate(runs) if runs else np.zeros(0, LOGGED_TAP)
        assert tally.rows == tally.taps + tally.problem_rows + tally.left_out.total()
        assert tally.taps == len(taps)
        return taps, tally

    return read_all


def station(catalogue, station_id):
    return int(catalogue.station(station_id)[1].number)


def test_a_logged_tap_begins_with_the_bytes_of_a_tap():
    for name, _form, at in FIELDS:
        assert LOGGED_TAP.fields[name][1] == at
    assert LOGGED_TAP.fields["recorded_at_us"][1] == 80


def test_a_plain_row_becomes_a_tap(read, catalogue):
    (tap,), tally = read(HEADER + ROW + "\n", "csv")
    assert tap["tapped_at_us"] == 1_772_409_600_000_000
    assert (tap["host"], tap["issuer"], tap["station"], tap["gate"]) == (1, 2, station(catalogue, "SHA-xinzhuang"), 12)
    assert (tap["kind"], tap["category"], tap["entitlement"], tap["amount_fen"], tap["line"]) == (TapKind.ENTRY, 0, 0, -1, 2)
    assert tap["recorded_at_us"] == tap["tapped_at_us"]
    assert tally.problems == []


def test_columns_stand_in_any_order_and_optional_ones_are_read(read):
    log = (
        "Kind,medium,tapped_at,City,station_id,gate,issuer,category,amount_yuan,entitlement,seen\n"
        ' EXIT , "a, b", 2026-03-02 08:00:00.5,SHA,sha-XINZHUANG,,,2,4.50,3,whatever\n'
    )
    (tap,), _tally = read(log, "csv")
    assert (tap["kind"], tap["category"], tap["amount_fen"], tap["entitlement"]) == (TapKind.EXIT, 2, 450, 3)
    assert tap["tapped_at_us"] == 1_772_409_600_500_000, "without offset it is the host city's time"
    assert tap["issuer"] == 1, "a blank issuer is the host"
    assert tap["gate"] == tap["station"], "a blank gate is the station's own number"


@pytest.mark.parametrize("kind", ["entry", "exit", "transfer_entry", "transfer_exit", "marker"])
def test_every_kind_of_reading_is_taken(read, kind):
    (tap,), _tally = read(HEADER + ROW.replace(",entry,", f",{kind},"), "csv")
    assert tap["kind"] == TapKind[kind.upper()]


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("2026-03-02T08:00:00+08:00", "yesterday", "tapped_at", "give a moment as"),
        ("2026-03-02T08:00:00+08:00", "2026-03-02", "tapped_at", "give a moment as"),
        ("2026-03-02T08:00:00+08:00", "2026-02-30T08:00:00", "tapped_at", "give a moment as"),
        ("2026-03-02T08:00:00+08:00", "9026-03-02T08:00:00", "tapped_at", "before 2027-01-15"),
        ("2026-03-02T08:00:00+08:00", "1026-03-02T08:00:00", "tapped_at", "from 2000 on"),
        ("shanghai", "atlantis", "city", "slug or code"),
        ("SHA-xinzhuang", "SHA-nowhere", "station_id", "map it with --mapping"),
        (",12,", ",x12,", "gate", "whole number from 0 to 4294967295"),
        (",12,", ",4294967296,", "gate", "whole number"),
        (",12,", ",-1,", "gate", "whole number"),
        (",entry,", ",in,", "kind", "give one of entry, exit"),
        ("card 1", "", "medium", "medium is blank"),
        (",hangzhou,", ",atlantis,", "issuer", "slug or code"),
        ("adult", "child", "category", "give one of adult"),
        (",adult", "", "line", "7 fields and the header 8"),
        ("card 1", '"card', "line", "quotation marks"),
        ("card 1", "x" * 5_000, "line", "more than 4096 bytes"),
    ],
)
def test_a_bad_row_is_told_and_the_rest_is_read(read, old, new, field, message):
    assert old in ROW
    taps, tally = read(HEADER + ROW + "\n" + ROW.replace(old, new, 1) + "\n\n" + ROW + "\r\n", "csv")
    assert taps["line"].tolist() == [2, 5]
    (problem,) = tally.problems
    assert (problem.line, problem.field) == (3, field)
    assert message in problem.message
    assert tally.rows == 3, "a blank line is no row"


def test_bytes_that_are_no_text_make_one_bad_row(read):
    taps, tally = read((HEADER + ROW + "\n").encode() + ROW.encode().replace(b"card", b"\xff\xfe") + b"\n" + ROW.encode(), "csv")
    assert taps["line"].tolist() == [2, 4]
    assert "which is not UTF-8" in tally.problems[0].message


@pytest.mark.parametrize(
    ("log", "form", "refusal"),
    [
        (b"", "csv", "empty"),
        (b"\n \n", "csv", "empty"),
        ("a,b\n", "csv", "tapped_at, city"),
        (HEADER.replace("gate", "city"), "csv", "gate must be there"),
        (HEADER.replace("\n", ",gate\n"), "csv", "a column twice"),
        ((HEADER + ROW).encode("utf-16"), "csv", "16-bit"),
        (HEADER.replace("city", "城市").encode("gbk"), "csv", "should be the header"),
        (HEADER + ROW, "hangzhou2019", "time, lineID"),
        (NUMBERED.lower(), "hangzhou2019", "lineID"),
        (HEADER + ROW, "shanghai2015", "no row is one of format shanghai2015"),
    ],
)
def test_what_is_no_such_log_is_refused(read, log, form, refusal):
    with pytest.raises(Malformed, match=refusal):
        read(log, form)


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_a_log_is_read_alike_however_its_bytes_come(read, block):
    log = b"\xef\xbb\xbf" + (HEADER + f"{ROW}\n" * 3).encode()
    taps, tally = read(log, "csv", block=block)
    assert taps["line"].tolist() == [2, 3, 4]
    assert tally.problems == []


def test_problems_are_counted_beyond_those_that_are_kept(read):
    _taps, tally = read(HEADER + "x\n" * (MOST_PROBLEMS + 5), "csv")
    assert (len(tally.problems), tally.problem_rows) == (MOST_PROBLEMS, MOST_PROBLEMS + 5)


def test_a_medium_is_hashed_by_salt_and_issuer_and_never_shown(read):
    log = HEADER + ROW + "\n" + ROW.replace("hangzhou", "suzhou") + "\n" + ROW.replace("entry", "exit")
    taps, _tally = read(log, "csv")
    media = [medium.tobytes() for medium in taps["medium"]]
    assert media[0] == media[2] != media[1]
    other, _tally = read(log, "csv", salt=b"another salt")
    assert set(media).isdisjoint(medium.tobytes() for medium in other["medium"])
    assert {digest.tobytes() for digest in taps["code_digest"]}.isdisjoint(digest.tobytes() for digest in other["code_digest"])
    assert b"card" not in taps.tobytes()


def test_a_pseudonym_in_hexadecimal_is_taken_as_it_is(read):
    pseudonym = bytes(range(16))
    (tap,), _tally = read(HEADER + ROW.replace("card 1", pseudonym.hex().upper()), "csv")
    assert tap["medium"].tobytes() == pseudonym


def test_the_recorded_column_is_read_and_is_no_part_of_the_row_itself(read):
    log = (
        HEADER.replace("\n", ",Recorded_At\n") + f"{ROW},2026-03-02T09:00:00+08:00\n{ROW},2026-03-02T10:00:00+08:00\n{ROW},never\n"
    )
    taps, tally = read(log, "csv", recorded="recorded_at")
    assert (taps["recorded_at_us"] - taps["tapped_at_us"]).tolist() == [3600 * 10**6, 7200 * 10**6]
    assert taps["code_digest"][0] == taps["code_digest"][1], "the same row sent twice"
    assert [problem.field for problem in tally.problems] == ["recorded_at"]
    with pytest.raises(Malformed, match="no column 'recorded_at'"):
        read(HEADER + ROW, "csv", recorded="recorded_at")


def test_anonymous_numbers_are_stations_by_the_mapping(read, catalogue):
    mapping = read_mapping(b"station,line,station_id\n63,,HGH-fengqilu\n7,B,HGH-longxiangqiao\n7,C,HGH-dinganlu\n", "map.csv")
    log = NUMBERED + (
        "2019-01-07 06:41:33,C,63,2952,1,C0453c92064c39bec91edd3dffc98e50b,2\n"
        "2019-01-07 07:01:33,B,7,300,0,C0453c92064c39bec91edd3dffc98e50b,2\n"
        "2019-01-07 07:01:33,C,7,301,0,D0453c92064c39bec91edd3dffc98e50b,3\n"
        "2019-01-07 07:01:34,A,7,301,0,D0453c92064c39bec91edd3dffc98e50b,3\n"
        "2019-01-07 07:01:34,A,7,302,0,D0453c92064c39bec91edd3dffc98e50b,3\n"
        "2019-01-07 07:01:35,C,63,301,2,D0453c92064c39bec91edd3dffc98e50b,3\n"
        "2019-01-07 07:01:35,C,63,301,1,D0453c92064c39bec91edd3dffc98e50b,4\n"
        "2019-01-07 07:01:35,C,63,gate,1,D0453c92064c39bec91edd3dffc98e50b,0\n"
    )
    taps, tally = read(log, "hangzhou2019", mapping=mapping)
    wanted = [station(catalogue, name) for name in ("HGH-fengqilu", "HGH-longxiangqiao", "HGH-dinganlu")]
    assert taps["station"].tolist() == wanted
    assert taps["kind"].tolist() == [TapKind.ENTRY, TapKind.EXIT, TapKind.EXIT]
    assert taps["gate"].tolist() == [2952, 300, 301]
    assert taps["tapped_at_us"][0] == 1_546_814_493_000_000
    assert (taps["host"] == 2).all()
    assert (taps["issuer"] == 2).all()
    assert tally.unmapped == {"7 (line A)": 2}
    assert [(problem.line, problem.field) for problem in tally.problems] == [
        (5, "stationID"),
        (7, "status"),
        (8, "payType"),
        (9, "deviceID"),
    ]


CARDS = (
    "2201252167,2015-04-01,19:20:33,1号线莘庄,地铁,0.0,非优惠\n"
    "2201252167,2015-04-01,19:50:33,11号线花桥站,地铁,9.0,优惠\n"
    "3104002167,2015-04-01,08:00:01,187路,公交,2.0,非优惠\n"
    "3104002167,2015-04-01,08:20:01,磁浮线龙阳路,地铁,0,非优惠\n"
)


@pytest.mark.parametrize("encoding", ["gb2312", "gbk", "utf-8", "utf-8-sig"])
def test_cards_are_read_in_either_encoding(read, catalogue, encoding):
    taps, tally = read(CARDS.encode(encoding), "shanghai2015")
    names = ("SHA-xinzhuang", "SHA-huaqiao", "SHA-longyanglu")
    assert taps["station"].tolist() == [station(catalogue, name) for name in names]
    assert taps["kind"].tolist() == [TapKind.ENTRY, TapKind.EXIT, TapKind.ENTRY]
    assert taps["amount_fen"].tolist() == [0, 900, 0]
    assert taps["discounted"].tolist() == [0, 1, 0]
    assert taps["tapped_at_us"][0] == 1_427_887_233_000_000
    assert taps["medium"][0] == taps["medium"][1] != taps["medium"][2]
    assert taps["gate"].tolist() == [*taps["station"][:2].tolist(), 900_001], "the maglev has its own gates"
    assert tally.left_out == {"公交": 1}
    assert tally.problems == []


def test_card_rows_are_wrong_in_their_own_ways(read):
    log = CARDS + (
        "1,2015-04-01,19:20:33,1号线莘庄,地铁,0.0\n"
        "1,2015-04-31,19:20:33,1号线莘庄,地铁,0.0,非优惠\n"
        "1,2015-04-01,25:20:33,1号线莘庄,地铁,0.0,非优惠\n"
        "1,2015-04-01,19:20:33,1号线莘庄,地铁,3.001,非优惠\n"
        "1,2015-04-01,19:20:33,1号线莘庄,地铁,-3,非优惠\n"
        "1,2015-04-01,19:20:33,1号线莘庄,地铁,3,打折\n"
        "1,2015-04-01,19:20:33,1号线亚特兰蒂斯,地铁,3,优惠\n"
        "1,2015-04-01,19:20:34,1号线亚特兰蒂斯,地铁,3,优惠\n"
        ",2015-04-01,19:20:33,1号线莘庄,地铁,3,优惠\n"
    )
    taps, tally = read(log.encode("gbk"), "shanghai2015")
    assert len(taps) == 3
    assert [(problem.line, problem.field) for problem in tally.problems] == [
        *((5, "line"), (6, "time"), (7, "time"), (8, "amount"), (9, "amount"), (10, "discount flag"), (11, "station"), (13, "card"))
    ]
    assert tally.unmapped == {"1号线亚特兰蒂斯": 2}


def test_a_header_above_cards_is_passed_over_and_there_is_no_column_to_replay(read):
    taps, _tally = read("卡号,日期,时间,线路站点,行业,金额,性质\n" + CARDS, "shanghai2015")
    assert len(taps) == 3
    with pytest.raises(Malformed, match="names no columns"):
        read(CARDS, "shanghai2015", recorded="recorded_at")


def test_aliases_and_rows_of_a_mapping_name_what_the_folder_does_not(read, catalogue):
    mapping = read_mapping(
        """
        [[station]]
        station = "2号线浦东国际机场"
        station_id = "SHA-pudong1hao2haohangzhanlou"
        [[station]]
        station = "旧名"
        line = "1号线"
        station_id = "SHA-xujiahui"
        [aliases]
        "花桥老站" = "花桥"
        "安亭老站" = "SHA-anting"
        """.encode(),
        "map.toml",
    )
    rows = "".join(
        f"1,2015-04-01,19:20:3{at},{name},地铁,0,非优惠\n"
        for at, name in enumerate(["2号线浦东国际机场", "1号线旧名", "2号线旧名", "11号线花桥老站", "11号线安亭老站"])
    )
    taps, tally = read(rows, "shanghai2015", mapping=mapping)
    names = ("SHA-pudong1hao2haohangzhanlou", "SHA-xujiahui", "SHA-huaqiao", "SHA-anting")
    assert taps["station"].tolist() == [station(catalogue, name) for name in names]
    assert tally.unmapped == {"2号线旧名": 1}


def test_a_mapping_to_stations_that_no_city_has_is_refused_before_anything_is_read(read):
    with pytest.raises(Malformed, match="'7' to 'HGH-nowhere'"):
        read(NUMBERED, "hangzhou2019", mapping=StationMapping({("7", ""): "HGH-nowhere"}))


@pytest.mark.parametrize(
    ("name", "text", "refusal"),
    [
        ("m.csv", "station\n1\n", "the columns are station"),
        ("m.csv", "station,station_id,note\n1,HGH-x,y\n", "note"),
        ("m.csv", "station,station_id\n1,\n", "line 2: station or station_id is blank"),
        ("m.csv", "station,station_id\n1,HGH-x\n1,HGH-y\n", "line 3: station '1'"),
        ("m.toml", "[[station]\n", "is not TOML"),
        ("m.toml", "[[station]]\nstation = 1\nid = 2\n", r"\[\[station\]\] 1: give station"),
        ("m.toml", "stations = 1\n", "holds stations"),
        ("m.toml", "[aliases]\na = 1\n", "the alias 'a' is 1"),
        ("m.csv", b"\xff\xfe", "is not UTF-8 at byte 0"),
    ],
)
def test_a_mapping_that_is_none_is_refused(name, text, refusal):
    with pytest.raises(Malformed, match=refusal):
        read_mapping(text.encode() if isinstance(text, str) else text, name)
