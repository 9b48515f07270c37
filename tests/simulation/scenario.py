"""What a seed draws: a campaign, its relays, the operators' habits, and the list of faults."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.clock import EPOCH
from tests.simulation.world import Fault

NAME, EDITION = "sim", "e1"
DOMAINS = ("a.example", "b.example", "c.example", "slow.example")
TEXT = "Hello {{ name }},\n\nthis is your letter.\n\n.\n..dots\n"
SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
#: The share of worlds that send so slowly that a pass takes hours.
SLOW = 0.05
#: The most people where several processes send: each looks around by itself, and their worlds cost more.
MANY = 250
#: What may go wrong at a relay: (what, arguments drawn later).
STAGES = ("banner", "ehlo", "mail", "rcpt", "data", "dot")
DOES = ("4xx", "5xx", "421", "garbage", "half", "close", "reset", "silent", "slow")


@dataclass
class Scenario:
    """Plain values. ``look``: seconds between two looks of the product at control file and clock.

    ``shard``: recipients of one at least and at most, where ``processes`` send.
    """

    people: int
    ports: tuple[int, ...]
    durability: str
    in_doubt: str
    settings: dict[str, str]
    limits: tuple[tuple[int, float], ...] = ()
    domain_limits: dict[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    drain: float = 30.0
    look: float = 0.25
    not_after: float | None = None
    canary: int = 0
    latency: float = 0.01
    think: float = 0.01
    splits: float = 0.1
    disorder: float = 0.2
    thread_delay: float = 0.05
    letters_a_session: int = 10_000
    pipelining: bool = True
    power_losses: bool = False
    limit_option: int | None = None
    duration_option: float | None = None
    habits: tuple[str, ...] = ()
    processes: int = 1
    shard: tuple[int, int] = (200, 5000)

    def address(self, number: int) -> str:
        """The address of one row; a few are of nobody."""
        kind = "dead" if number % 97 == 13 else "p"
        return f"{kind}{number}@{DOMAINS[0] if number % 5 < 2 else DOMAINS[number % len(DOMAINS)]}"


def draw(seed: int) -> tuple[Scenario, list[Fault]]:
    """The scenario and the faults of one seed."""
    dice = random.Random(f"{seed}/scenario")
    people = int(200 * 10 ** (dice.random() ** 6))
    ports = tuple(9001 + at for at in range(dice.choice((1, 1, 1, 2, 2, 3))))
    scenario = Scenario(
        people, ports, dice.choice(("power", "process")), dice.choice(("hold", "hold", "resend", "skip")), {}
    )
    scenario.latency = 10 ** dice.uniform(-3.5, -0.7)
    scenario.think = 10 ** dice.uniform(-3, -0.5)
    scenario.splits, scenario.disorder = dice.choice((0.0, 0.1, 0.5)), dice.choice((0.0, 0.2, 0.7))
    scenario.thread_delay = 10 ** dice.uniform(-3, -0.5)
    scenario.letters_a_session = dice.choice((3, 50, 10_000, 10_000))
    scenario.pipelining = dice.random() < 0.8
    scenario.look = dice.choice((0.25, 1.0, 3.0, 3.0))
    _settings(scenario, dice)
    scenario.habits = tuple(one for one in ("retry", "retry in doubt", "resolve", "send") if dice.random() < 0.3)
    faults = _faults(scenario, random.Random(f"{seed}/faults"))
    faults += _several(scenario, random.Random(f"{seed}/processes"), len(faults))
    scenario.power_losses = any(one.args.get("power") for one in faults)
    return scenario, faults


def _settings(scenario: Scenario, dice: random.Random) -> None:
    settings = scenario.settings
    rate = dice.choice(("", "", "20/s", "200/s", "300/m", "30/s 2000/h", "10/s 100/m", "5/s"))
    slow = dice.random() < SLOW
    if slow:
        rate, scenario.look, scenario.people = "2/m", 3.0, min(scenario.people, 250)
    if rate:
        settings["rate"] = str(rate.split()).replace("'", '"')
        scenario.limits = tuple(per_window(one) for one in rate.split())
    if dice.random() < 0.3:
        pace = dice.choice(("1/s", "2/s", "40/m"))
        settings["domain_rate"] = f'{{ "slow.example" = "{pace}" }}'
        scenario.domain_limits = {"slow.example": (per_window(pace),)}
    scenario.drain = dice.choice((2.0, 30.0))
    urls = [f'"smtp://127.0.0.1:{port}"' for port in scenario.ports]
    if len(urls) > 1 and dice.random() < 0.4:
        urls = [f"{{ url = {url}, weight = {dice.randint(1, 5)} }}" for url in urls]
    settings |= {
        "relay": f"[{', '.join(urls)}]",
        "connections": str(dice.choice((1, 2, 5, 10, 20))),
        "letters_per_connection": str(dice.choice((2, 20, 500))),
        "attempts": str(dice.choice((3, 6, 12))),
        "retry_after": f'"{dice.choice((5, 60, 300))}s"',
        "give_up_after": f'"{dice.choice((1, 24))}h"',
        "drain": f'"{scenario.drain:g}s"',
        "limit_wait": f'"{dice.choice((10, 900))}s"',
        "relay_patience": f'"{dice.choice((20, 120))}s"',
        "stop_share": "1.0",
        "local_hostname": '"sender.example"',
        "timeouts": f'{{ dot = "{dice.choice((20, 600))}s", mail = "{dice.choice((10, 300))}s", banner = "30s" }}',
    }
    if slow:
        settings["limit_wait"] = '"900s"'
    if dice.random() < 0.15:
        scenario.canary = 10
        settings |= {"canary": "10", "canary_hold": '"60s"', "canary_min_accepted": "0.0"}
    if dice.random() < 0.15:
        scenario.not_after = EPOCH + 10 ** dice.uniform(0.3, 4)
    if dice.random() < 0.2:
        scenario.limit_option = dice.randint(1, scenario.people)
    if dice.random() < 0.2:
        scenario.duration_option = 10 ** dice.uniform(0, 3)


def per_window(text: str) -> tuple[int, float]:
    """A limit such as ``20/s`` as letters and seconds."""
    count, _, per = text.partition("/")
    return int(count), {"s": SECOND, "m": MINUTE, "h": HOUR}[per]


def _faults(scenario: Scenario, dice: random.Random) -> list[Fault]:
    makers: list[Any] = [_death, _death, _death, _weather, _weather, _weather, _weather, _disk, _clock, _operator,
                         _operator, _signal, _suppress]  # fmt: skip
    wanted = dice.choice((1, 2, 4, 6, 9, 12))
    return [Fault(number, *dice.choice(makers)(scenario, dice)) for number in range(wanted)]


def _several(scenario: Scenario, dice: random.Random, number: int) -> list[Fault]:
    """How many processes send, and which of them die while the others live on."""
    scenario.processes = dice.choices((1, 2, 4), (60, 25, 15))[0]
    if scenario.processes == 1:
        return []
    scenario.settings["processes"] = str(scenario.processes)
    scenario.people, scenario.look = min(scenario.people, MANY), max(scenario.look, 1.0)
    smallest = dice.choice((2, 10, 40))
    scenario.shard = smallest, smallest * dice.choice((1, 2, 10))
    deaths = (_death_of_one(scenario, dice) for _ in range(dice.choice((0, 1, 1, 2, 3))))
    return [Fault(at, *one) for at, one in enumerate(deaths, number)]


def _death_of_one(scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    whom = dice.choice(("sender", "sender", "sender", "parent"))
    kinds = ("step", "disk", "write intent", "write verdict", "sync", "dot", "dot", "rename")
    kind = dice.choice(("write merged", "remove", *kinds) if whom == "parent" else kinds)
    most = {"step": scenario.people * 40, "disk": scenario.people * 3, "sync": 40, "rename": 40, "write merged": 60,
            "remove": 20}.get(kind, scenario.people)  # fmt: skip
    at = float(int(math.exp(dice.uniform(math.log(3), math.log(most)))))
    when = "now" if kind in {"step", "dot"} else dice.choice(("before", "torn", "after"))
    return kind, at, "death", {"when": when, "power": False, "whom": whom}


def _death(scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    power = dice.random() < 0.4
    kind = dice.choice(("step", "step", "disk", "write intent", "write verdict", "sync", "dot", "write any"))
    if kind == "write any":
        return f"write {dice.choice(('started', 'pass', 'frontier', 'ended', 'synced'))}", float(dice.randint(1, 6)), \
            "death", {"when": dice.choice(("before", "torn", "after")), "power": power}  # fmt: skip
    most = {"step": scenario.people * 40, "disk": scenario.people * 3, "sync": 40}.get(kind, scenario.people)
    at = float(int(math.exp(dice.uniform(math.log(3), math.log(most)))))
    when = dice.choice(("before", "torn", "after")) if kind.startswith("write") else "now"
    return kind, at, "death", {"when": when, "power": power}


def _weather(scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    args: dict[str, Any] = {
        "port": dice.choice((*scenario.ports, scenario.ports[0])),
        "lasts": 10 ** dice.uniform(-0.5, 3.2),
    }
    args["share"] = dice.choice((0.05, 0.3, 1.0))
    args["what"] = dice.choice(
        (*("stage",) * 6, "refused", "unreachable", "no name", "slow network", "greylist", "throttle")
    )
    if args["what"] == "stage":
        args |= {"stage": dice.choice((*STAGES, "dot", "dot")), "does": dice.choice(DOES)}
        args |= {"taken": dice.random() < 0.5, "seconds": 10 ** dice.uniform(-1, 2.9)}
    elif args["what"] in {"greylist", "throttle"}:
        args |= {"share": 1.0, "domain": dice.choice(DOMAINS), "most": dice.randint(1, 20)}
    elif args["what"] == "slow network":
        args["seconds"] = 10 ** dice.uniform(-1, 2)
    if dice.random() < 0.5:
        return "time", _second(dice), "weather", args
    return "dot", float(int(math.exp(dice.uniform(0, math.log(scenario.people))))), "weather", args


def _disk(scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    at = float(int(math.exp(dice.uniform(0, math.log(scenario.people * 3)))))
    errno = dice.choice(("ENOSPC", "ENOSPC", "EIO", "EIO on sync", "short"))
    return (
        "disk",
        at,
        "disk",
        {"errno": errno, "left": dice.choice((1, 1, 5, 1000)), "lasts": 10 ** dice.uniform(-1, 2.5)},
    )


def _clock(_scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    if dice.random() < 0.4:
        return "time", _second(dice), "suspend", {"seconds": 10 ** dice.uniform(1, 4.4)}
    return "time", _second(dice), "clock", {"by": dice.choice((-1, 1)) * 10 ** dice.uniform(0, 5)}


def _operator(_scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    does = dice.choice(("pause", "pause", "stop", "cancel", "rate", "rate", "connections", "second process"))
    args: dict[str, Any] = {"does": does}
    if does == "pause":
        args["lasts"] = 10 ** dice.uniform(0, 4)
    elif does == "rate":
        args["rate"] = dice.choice(("1/s", "3/s", "100/s", "60/m"))
    elif does == "connections":
        args["connections"] = dice.randint(1, 30)
    return "time", _second(dice), "operator", args


def _signal(_scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    return (
        "time",
        _second(dice),
        "signal",
        {"name": dice.choice(("SIGINT", "SIGTERM", "SIGHUP")), "twice": dice.random() < 0.3},
    )


def _suppress(scenario: Scenario, dice: random.Random) -> tuple[str, float, str, dict[str, Any]]:
    return "time", _second(dice), "suppress", {"numbers": sorted(dice.sample(range(scenario.people), 10))}


def _second(dice: random.Random) -> float:
    return round(10 ** dice.uniform(-0.7, 2.7), 3)


def write(scenario: Scenario, folder: Path) -> Path:
    """Put the campaign file and what it names into ``folder``; returns the campaign file."""
    rows = [f"{scenario.address(number)},Reader {number}" for number in range(scenario.people)]
    (folder / "list.csv").write_text("\n".join(["email,name", *rows, ""]), encoding="utf-8")
    (folder / "gone.csv").write_text("email\n", encoding="utf-8")
    (folder / "letter.txt.j2").write_text(TEXT, encoding="utf-8")
    secret = folder / "campaign.secret"
    secret.write_text("0f" * 32 + "\n", encoding="utf-8")
    secret.chmod(0o600)
    over = ""
    if scenario.not_after is not None:
        from datetime import UTC, datetime

        over = f"not_after = {datetime.fromtimestamp(scenario.not_after, UTC).isoformat()}\n"
    delivery = "\n".join(f"{name} = {value}" for name, value in scenario.settings.items())
    file = folder / "sim.toml"
    file.write_text(
        f'[campaign]\nname = "{NAME}"\nedition = "{EDITION}"\nfrom = "Sim <news@example.com>"\n{over}\n'
        f'[audience]\nsource = "list.csv"\naddress = "email"\ndisplay_name = "name"\nsuppress = ["gone.csv"]\n\n'
        f'[compose]\nsubject = "For {{{{ name }}}}"\ntext = "letter.txt.j2"\n\n[delivery]\n{delivery}\n\n'
        f'[ledger]\nin_doubt = "{scenario.in_doubt}"\ndurability = "{scenario.durability}"\n\n'
        '[report]\ninterval = "30s"\n',
        encoding="utf-8",
    )
    return file
