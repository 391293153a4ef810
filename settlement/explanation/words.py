"""An explanation in words, for people who will check it by hand."""

from collections.abc import Iterator

from settlement.explanation.explained import Explanation, JoinedExplanation
from settlement.explanation.price import ExplainedPart, ExplainedStation
from settlement.explanation.shares import ExplainedShare
from settlement.explanation.split import ExplainedPath
from settlement.quotes import yuan

_MINUTE_US = 60_000_000


def in_words(told: Explanation | JoinedExplanation) -> list[str]:
    """Lines of plain text, each section under its own word."""
    if isinstance(told, Explanation):
        return list(_ride(told))
    parts = " + ".join(f"{yuan(leg.rider_pays_fen)} ({leg.host})" for leg in told.legs)
    head = f"{_name(told.legs[0].from_station)} -> {_name(told.legs[-1].to_station)}: {yuan(told.rider_pays_fen)} yuan = {parts}"
    lines = [head, "two journeys, cut at the station where the networks meet; each has its own tariff, split and clock"]
    for leg in told.legs:
        lines += ["", *_ride(leg)]
    return lines


def _ride(told: Explanation) -> Iterator[str]:
    yield f"{_name(told.from_station)} -> {_name(told.to_station)}, in {told.host} at {told.at}: {yuan(told.rider_pays_fen)} yuan"
    if told.reversal is not None:
        back = told.reversal
        yield f"  {told.state}: {back.reason} by entry {back.evidence_entry}; all that it made owed is owed back"
    if told.legs > 1 or told.markers:
        yield f"  {told.legs} legs under one fare, {told.markers} marker taps"
    yield from _price(told)
    yield from _terms(told)
    yield from _split(told)
    yield from _shares(told)
    yield from _hashes(told)
    yield from (f"  unconfirmed: {remark}" for remark in told.remarks)


def _price(told: Explanation) -> Iterator[str]:
    price = told.price
    yield f"price: {price.distance_m:,} m by the shortest track, {yuan(price.table_fen)} yuan in the table"
    gates = [line for line in (price.from_gates_of, price.to_gates_of) if line]
    if gates:
        yield f"  gates of one line: {', '.join(gates)}"
    for part in price.parts:
        yield from _part(part, whole=len(price.parts) == 1)
    if price.override is not None and price.rule_fen is not None:
        row = price.override
        stands = f"official fare {yuan(row.fare_fen)} in place of the rule's {yuan(price.rule_fen)}"
        yield f"  {stands}: {row.reason} ({row.file}:{row.line})"


def _part(part: ExplainedPart, *, whole: bool) -> Iterator[str]:
    where = "" if whole else f"{_name(part.from_station)} -> {_name(part.to_station)}: "
    yield f"  {where}charge {part.charge!r}, {part.metres:,} m: {yuan(part.fare_fen)} yuan by {part.kind}"
    if part.earlier_network:
        yield f"    metres of earlier network {part.earlier_network}, on which this fare was made (earlier-links.csv)"
    if part.band is not None:
        band = part.band
        beyond = f" + {band.steps} x {yuan(band.step_fen)} for each {band.step_m:,} m begun" if band.steps else ""
        yield f"    band over {band.over_m:,} m up to {band.up_to_m:,} m: {yuan(band.base_fen)}{beyond}"
    for rate in part.rates:
        yield f"    {rate.metres:,} m at {rate.fen_per_km} fen a kilometre ({rate.rate_class})"
    for link in part.links:
        moved = f", source {link.source_m:,} m ({link.reason})" if link.source_m != link.metres else ""
        yield f"    {link.from_station} - {link.to_station}: {link.metres:,} m on {' or '.join(link.lines) or 'foot'}{moved}"


def _terms(told: Explanation) -> Iterator[str]:
    time, discount = told.time, told.discount
    if time.is_free:
        yield f"same station: free within {time.free_within_us // _MINUTE_US} minutes"
    if time.limit_us:
        over = f"over: {time.beyond}, {yuan(time.surcharge_fen)} yuan more" if time.is_overstayed else "in time"
        yield f"time: {time.ridden_us // _MINUTE_US} of {time.limit_us // _MINUTE_US} minutes, {over}"
    yield (
        f"discount: {yuan(discount.discount_fen)} yuan, borne by {discount.funder} ({discount.category}, step {discount.step}, "
        f"{discount.day} {discount.minute // 60:02d}:{discount.minute % 60:02d})"
    )
    for row in discount.rows:
        pays = f"{row.name or 'discount'} from step {row.least_step}: pays {row.pays_ppm // 10_000} %"
        yield f"  {pays} - {row.why_not or 'this one'}"
    if not discount.rows:
        yield "  the tariff has none"


def _split(told: Explanation) -> Iterator[str]:
    split = told.split
    yield f"split: {split.basis}" + (f", {split.model} ({split.file})" if split.model else "")
    if split.period:
        yield f"  period: {split.period}"
    if split.agreed_file:
        yield f"  agreed in {split.agreed_file}"
    if split.parameters:
        yield "  " + ", ".join(f"{name} = {value}" for name, value in split.parameters.items())
    for number, path in enumerate(split.paths, 1):
        yield from _path(number, path)
    if split.untold_probability:
        yield f"  all dearer paths together: {_percent(split.untold_probability)}"


def _path(number: int, path: ExplainedPath) -> Iterator[str]:
    metres = ", ".join(f"{part.metres:,} m for {part.beneficiary}" for part in path.operator_metres)
    cost = f", costs {path.cost_ms / 1000:.1f} s" if path.cost_ms else ""
    changes = f"{path.transfers} change{'' if path.transfers == 1 else 's'}"
    yield f"  path {number}: {_percent(path.probability)}, {path.metres:,} m, {changes}{cost}: {metres}"
    for leg in path.legs:
        stops = len(leg.stations) - 1
        way = f"{_name(leg.stations[0])} -> {_name(leg.stations[-1])}"
        yield f"    {leg.name_zh} {leg.name_en}: {way}, {stops} stop{'' if stops == 1 else 's'}"


def _shares(told: Explanation) -> Iterator[str]:
    yield f"shares of {told.fare_fen} fen, weights of {told.split.weights_total:,}:"
    for share in told.shares:
        yield f"  {share.name_zh} {share.name_en} ({share.beneficiary}): {_share(share)}"
    if told.draw is not None:
        draw = told.draw
        yield f"  draw {draw.draw} of journey {draw.journey_id} and seed {draw.seed}: point {draw.point:,} of {draw.total:,}"
    if told.commission is not None:
        terms = told.commission
        drawn = "" if terms.fen is None else f", drawn {terms.fen} fen at point {terms.point}"
        owed = f"commission of {terms.ppm} ppm to {told.issuer}: {terms.expected_fen} fen{drawn}"
        yield f"  {owed}; fee to the scheme {terms.fee_fen} fen"


def _share(share: ExplainedShare) -> str:
    where = " or ".join(f"{begin:,} to {end - 1:,}" for begin, end in share.one_more_where_point_in)
    drawn = "" if share.fen is None else f"; got {share.fen}"
    return (
        f"weight {share.weight:,}, {share.expected_fen} fen, {share.floor_fen}"
        + (f" or one more at points {where}" if where else "")
        + drawn
    )


def _hashes(told: Explanation) -> Iterator[str]:
    tables = told.tables
    yield f"tables: {tables.tariff}, version {tables.version} of table {tables.city_table}"
    yield f"  fares {tables.fare_array}"
    yield f"  distances {tables.distance_array}"
    yield f"  weights {tables.weight_array} (set {told.split.weight_set})"
    yield f"  agreement {tables.agreement or 'none'}"


def _name(station: ExplainedStation) -> str:
    return f"{station.name_zh} {station.name_en} ({station.station_id})" if station.name_zh else station.station_id


def _percent(parts: int) -> str:
    return f"{parts // 1_000_000}.{parts % 1_000_000:06d} %"
