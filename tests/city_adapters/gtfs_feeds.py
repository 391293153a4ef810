"""A small GTFS feed that a test can change: Rivermouth, seven stations on a red line with a branch and a blue loop.

      F --- G        E        blue: B F G C B
      |     |      /          red:  A B C D and A B C E
A --- B --- C ---- D
"""

PLACES = {"A": (0, 0), "B": (1, 0), "C": (2, 0), "D": (3, 0), "E": (3, 1), "F": (1, 1), "G": (2, 1)}
NAMES = dict(zip("ABCDEFG", ["Anchor", "Bridge", "Castle", "Dock", "East Gate", "Ferry", "Grove Road"], strict=True))
TRIPS = {"red-1": ("R", "ABCD"), "red-2": ("R", "DCBA"), "red-3": ("R", "ABCE"), "blue-1": ("B", "BFGCB")}
STEP_KM = {"AB": 1.1, "BC": 1.2, "CD": 1.3, "CE": 1.9, "BF": 1.4, "FG": 1.0, "CG": 1.5}


def position(place):
    x, y = PLACES[place]
    return f"{121 + x / 100:.4f}", f"{31 + y / 100:.4f}"


def stops():
    rows = ["stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station,zone_id"]
    for place in PLACES:
        lon, lat = position(place)
        rows.append(f"{place},{NAMES[place]},{lat},{lon},1,,")
        rows += [f"{place}{side},{NAMES[place]} platform {side},{lat},{lon},0,{place},z{PLACES[place][0]}" for side in (1, 2)]
    return "\n".join(rows) + "\n"


def stop_times(trips=TRIPS, *, unit=1.0, measured=True):
    rows = ["trip_id,stop_id,stop_sequence,shape_dist_traveled"]
    for trip, (_, places) in trips.items():
        km = 0.0
        for at, place in enumerate(places):
            if at:
                km += STEP_KM["".join(sorted(places[at - 1 : at + 1]))]
            rows.append(f"{trip},{place}{1 + at % 2},{10 * at},{round(km * unit, 6) if measured else ''}")
    return "\n".join(rows) + "\n"


def feed(**changes):
    """The feed's files as bytes; `changes` gives other texts by name without .txt, None to leave the file out."""
    texts = {
        "agency": "agency_id,agency_name,agency_url,agency_timezone,agency_lang\nRM,Rivermouth Metro,http://rm.example,Asia/Shanghai,en\n",
        "feed_info": "feed_publisher_name,feed_publisher_url,feed_lang,feed_start_date\nRM,http://rm.example,en,20260301\n",
        "stops": stops(),
        "routes": "route_id,agency_id,route_short_name,route_long_name,route_type,route_color\n"
        "R,RM,Red,Red Line,1,ff0000\nB,RM,Blue,Blue Loop,401,0000FF\n",
        "trips": "route_id,service_id,trip_id,shape_id\n" + "".join(f"{route},s,{trip},\n" for trip, (route, _) in TRIPS.items()),
        "stop_times": stop_times(),
    }
    texts |= changes
    return {f"{name}.txt": text.encode() for name, text in texts.items() if text is not None}
