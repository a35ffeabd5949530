"""What seats cost: one, many at once, many in a month."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..spec.params import ETHER_WEI, Params
from ..spec.registration import next_price_wei, price_wei
from .study import Curve, Figure, Finding, Study

MONTH_S = 30 * 86_400
CROWD = 100


def round_s(params: Params) -> int:
    """The longest a round takes."""
    return params.train_s + params.hold_s + params.commit_s + params.reveal_s + params.settle_s


def cost_wei(params: Params, seats: int, apart_s: int = 0) -> int:
    """Of so many joins, the first at the floor, ``apart_s`` between them."""
    price, paid = params.join_price_wei, 0
    for _ in range(seats):
        paid += price
        price = price_wei(
            next_price_wei(price, params.join_bump_bps), apart_s, params.join_half_life_s, params.join_price_wei
        )
    return paid


def pace_s(params: Params, times: float = 1.0) -> int:
    """Least time between joins at which the price never rises above ``times`` the floor's bump, by bisection."""
    low, high = 0, params.join_half_life_s * 20
    while low < high:
        middle = (low + high) // 2
        price = params.join_price_wei
        for _ in range(200):
            price = price_wei(
                next_price_wei(price, params.join_bump_bps), middle, params.join_half_life_s, params.join_price_wei
            )
        if price <= times * params.join_price_wei:
            high = middle
        else:
            low = middle + 1
    return low


def back_s(params: Params, joins: int) -> int:
    """Until the price is the floor again, after so many joins at once."""
    price = params.join_price_wei
    for _ in range(joins):
        price = next_price_wei(price, params.join_bump_bps)
    low, high = 0, 200 * params.join_half_life_s
    while low < high:
        middle = (low + high) // 2
        if price_wei(price, middle, params.join_half_life_s, params.join_price_wei) <= params.join_price_wei:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass(frozen=True, slots=True)
class JoinPrice:
    """Identities that come at once outbid themselves; those that come one after the other do not."""

    name: str = "join price"

    def measure(self, study: Study) -> Finding:
        params, floor = study.params, study.params.join_price_wei
        free = study.trainers - params.min_trainers
        month = cost_wei(params, free, MONTH_S // free)
        study.tick()
        figures = (
            Figure(
                name=f"{CROWD} seats at once, in seats' floor prices",
                defined=f"cost of {CROWD} joins in one block over {CROWD} x the floor",
                values=(cost_wei(params, CROWD) / (CROWD * floor),),
                at_least=1e6,
            ),
            Figure(
                name=f"all {free} free seats at once",
                defined="decimal logarithm of the cost in tokens",
                values=(math.log10(cost_wei(params, free)) - math.log10(ETHER_WEI),),
                unit="log10 tokens",
            ),
            Figure(
                name=f"all {free} free seats, evenly over a month",
                defined="cost over as many floor prices: 1 means that patience pays the floor",
                values=(month / (free * floor),),
            ),
            Figure(
                name="joins per round at the floor price, for good",
                defined="a longest round over the least time between joins after which the price is the floor",
                values=(round_s(params) / pace_s(params),),
            ),
            Figure(
                name="seats of a full run that idle newcomers can hold",
                defined="joins per round at the floor x the rounds in which their seats are not given away",
                values=(round_s(params) / pace_s(params) * params.immunity_rounds,),
                unit="seats",
            ),
            *(
                Figure(
                    name=f"rounds until the floor price after {joins} joins at once",
                    defined="time until nobody pays more than the floor again, in longest rounds",
                    values=(back_s(params, joins) / round_s(params),),
                    unit="rounds",
                    at_most=bound,
                )
                for joins, bound in ((1, 1), (10, 5), (CROWD, 40))
            ),
        )
        counts = (1, 2, 4, 8, 16, 32, 64, 128)
        curves = tuple(
            Curve(
                "join price",
                label,
                tuple(map(float, counts)),
                tuple(cost_wei(params, count, apart_s) / (count * floor) for count in counts),
            )
            for label, apart_s in (
                ("at once", 0),
                ("10 a round", round_s(params) // 10),
                ("5 a round", round_s(params) // 5),
                ("2 a round", round_s(params) // 2),
            )
        )
        return Finding(figures, curves)
