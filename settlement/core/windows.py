"""One window for each recorded second: its obligations netted and posted, and the state root that mirrors cosign."""

from dataclasses import replace

from fare_chain.errors import Conflict
from fare_chain.events import WindowEntry
from fare_chain.merkle import root
from settlement.core.books import Account, balances_after, post
from settlement.core.columns import Level, ObligationKind, Records
from settlement.core.deltas import window_delta_root
from settlement.core.netting import net_debits_fen
from settlement.core.reversals import remember
from settlement.core.state import OpenWindow, State, chain_root, earned_leaves

_MOST_SECONDS = 2**32 - 1


def close(state: State, second: int, seconds: int = 1) -> tuple[State, WindowEntry]:
    """Close `second`, or a run of `seconds` without entries; the cost does not depend on how many taps these had.

    The result is what the WINDOW entry of the ledger says: `gross_fen` is every fare owed between members before commission,
    fees and netting, `net_fen` what debtors owe after it. Conflict where the second is not the open one, or where a run would
    hide a tick.
    """
    _check_closable(state, second, seconds)
    window, rules_hash = state.window, state.rules.rules_hash
    postings = window_postings(state)
    members = dict.fromkeys(state.rules.members, 0) | dict(state.positions)
    positions = balances_after(tuple(sorted(members.items())), postings, Account.POSITION)
    delta_root = window_delta_root(window.delta_roots)
    earned = balances_after(state.earned, postings, Account.EARNED)
    state_root = chain_root(
        state.state_root, second=second, seconds=seconds, delta_root=delta_root, positions=positions, rules_hash=rules_hash,
        earned_root=root(earned_leaves(earned)),
    )  # fmt: skip
    after = replace(
        state,
        second=second + seconds,
        state_root=state_root,
        positions=positions,
        earned=earned,
        window=OpenWindow(state.next_index),
        closed=remember(state.closed, second, delta_root),
    )
    return after, WindowEntry(
        second, seconds, window.from_index, state.next_index, window.taps, window.journeys, gross_fen(window.sums),
        net_debits_fen(window.sums), state_root, delta_root, rules_hash, positions,
    )  # fmt: skip


def window_postings(state: State) -> Records:
    """The lines that closing the open window posts (POSTING_DTYPE), with the balances before and after."""
    return post(state.window.sums, state.positions, state.earned)


def gross_fen(sums: Records) -> int:
    """Every fare that these sums (SUM_DTYPE) make owed between members."""
    return int(sums["amount_fen"][(sums["level"] == Level.MEMBERS) & (sums["kind"] == ObligationKind.FARE)].sum())


def _check_closable(state: State, second: int, seconds: int) -> None:
    if second != state.second:
        raise Conflict(
            f"second {second} cannot be closed: {state.second} is the open one, and every second is closed once, in order"
        )
    if not 1 <= seconds <= _MOST_SECONDS:
        raise Conflict(f"a window covers 1 to {_MOST_SECONDS} seconds, found {seconds}")
    if seconds > 1 and state.window.delta_roots:
        raise Conflict(f"second {second} has entries and is closed by itself: close it, then the {seconds - 1} empty ones after it")
