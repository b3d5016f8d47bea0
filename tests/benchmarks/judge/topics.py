"""The sections of the results: what each measures, and the meaning of its figures."""

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.judge import answers, cost, delays, demo, error_rates, frontier, hours, streams
from tests.benchmarks.judge.figures import Measure


@dataclass(frozen=True, slots=True)
class Topic:
    """docs/benchmarks.md shows how many figures reach their target, with the named and the missed ones, or nothing
    without targets; with brief, which explains them, all of them."""

    title: str
    text: str
    figures: tuple[tuple[str, Measure], ...]
    brief: str = ""
    named: tuple[str, ...] = ()


RATES: Final = Topic(
    "How often it is wrong",
    """\
*False roll-backs*: both versions are the same (except in one line); a release of 5, 25 and 50 % for an hour. A shared
shock multiplies all rates of both versions by 20 in 2 % of the scrapes. Bursts: all events come five at a time. Of
either, each release measures its dispersion φ on the stable version's last hour, or, if that has too few events, on its
last day. *Before the bake*, *too bad*: errors alone, under the troubles of the table above. *Candidates at the edge or beyond*: an hour at 25 % of 50 requests/s, where no roll-back could come first. *A/B
tests*: between two looks, 200 users come to each arm, of whom 5 % convert. *Answers*: a `distribution` alone, whose two
versions answer alike, in releases of an hour through the modules that ship.""",
    (*error_rates.FIGURES.items(), *hours.FIGURES.items(), *answers.WRONG.items()),
)
FRONTIER: Final = Topic(
    "What cannot be had",
    f"""\
Where pods swing or differ, a version of four pods is a draw of four, and no test knows what more would have shown. How many
equal versions can be proven after an hour at 25 %, if so many of those that are 1.5 times as bad may get through: by one
look at what both versions have counted then, by somebody who knows how pods swing. The judge does not know it, and looks
on every scrape. {frontier.DRAWS} draws for each rollout.""",
    tuple(frontier.FIGURES.items()),
)
DELAYS: Final = Topic(
    "How long it takes",
    """\
Seconds and requests count from the first weight, which is set at a random moment between two scrapes; so the first
scrape is never evidence. With `maximumRequestsAtRisk: 60`, the first weight is 5 % up to 120 requests/s. Above that
it is a lead step at which one interval sends at most 30 requests; the smallest weight on the wire is 0.1 %, so beyond
6,000 requests/s the number grows with the rate. A number of requests is Poisson, so one interval in ten has more than
the third of its quantiles. *never*: not within the time simulated, which is an hour, or 90 minutes for proofs.""",
    (*delays.FIGURES.items(), *answers.DELAYS.items()),
    named=(
        "x4 errors, 50 requests/s at 5 %, errors alone",
        "x20 errors, 50 requests/s at 5 %, errors alone",
        "every request fails, 100 requests/s, requests until the roll-back",
        "a class from 30 to 60 %, 50 requests/s, 5 %, requests until the roll-back",
    ),
)
COST: Final = Topic(
    "What it costs",
    """\
The cost is measured from raw samples and the stored state to the judgement and the next state, without network: 2
objectives on gateway counters, 4 latencies with 20 buckets each, 4 on counters of your own. It is CPU time of the
process, so a machine that is busy with other work (see the load average above) makes it longer.""",
    (("10 objectives, 20 buckets", cost.evaluation),),
)
DEMO: Final = Topic(
    "The demo",
    "The releases of `make demo`, with its own policy at 100 requests/s.",
    tuple(demo.FIGURES.items()),
)
STREAMS: Final = Topic(
    "Language models",
    """\
Whole releases through the modules that ship, with the policy for streams that the chart installs (`default-streaming`), at
10 requests/s and a weight of 10 % for half an hour; the candidate's pods are no longer new. A first token comes after 100
ms and 0.5 ms for each token of the prompt; prompts have a lognormal length (median 300 tokens, sigma 1). Gateway and pods
are scraped every 5 s, unless a line says otherwise. *Prompts x4*: whoever asks the candidate has prompts that are four
times as long. *Lengths known*: the server has a histogram of them; *told apart*: its histogram of times has them as a
label.""",
    tuple(streams.FIGURES.items()),
)
COMPARISON: Final = Topic(
    "Beside the usual rules",
    """\
All rules see the same requests: an hour, 20 minutes each at 5, 25 and 50 %, whatever they say. *same*: how many of
the releases of an identical version are rolled back. *x4*, *x20*: the median delay after the candidate became bad;
*before*: rolled back while it was still good; *missed*: not within the hour. A rule with high figures in *same* is
fast because it accuses everybody. `failureLimit` is Argo's: the number of failed measurements that are tolerated. The
rank test compares the failure shares of all minutes so far, and is repeated every minute.""",
    (),
    """\
All rules see the same requests, 20 minutes each at 5, 25 and 50 %. *same*: identical versions that are rolled back. *x4*,
*x20*: the median delay after the candidate became bad. *before*: rolled back while it was good. `failureLimit` is Argo's.""",
)
TROUBLES: Final = Topic(
    "Under the traffic that real services have",
    """\
Whole releases through the modules that ship, from raw samples to the judgement, with the default policy (errors alone)
at 50 requests/s unless a line says otherwise: 5, 25 and 50 % for 20 minutes each, whatever is proven, and a bake of 10
minutes, with its probes. *α*: an equal version is rolled back, with a 95 % interval (Wilson's); *promoted*: within an
hour and a half after its bake should have ended. *Found in the bake*: a version that becomes bad in it, the seconds until
it is rolled back (median, and nine of ten) and the failed answers that it gave. *β*: a candidate with 1.5 times the
events (in two lines: 4 times) gets through an hour at 25 %. *healthy*: an equal version is proven within an hour at 25 %.
*×4*, *×20*, *dead*: at 5 %, the median of seconds, and of candidate requests. *Swings*: the logarithm of each version's share is
an Ornstein-Uhlenbeck process of its own. An empty cell: the trouble says nothing about it.""",
    (),
)
SHARES: Final = Topic(
    "Shares by what is at risk",
    """\
Releases in the closed loop with the chart's objective and a scrape every 15 s: fixed steps of 5, 25 and 50 % beside
`stepping: Auto`. *Until 100 %*: from the first weight, the median and nine of ten; the bake of ten minutes follows.
*Planned*: what `plan` says of it before the first weight, and how many releases were there by then. *Fail*: how many
requests a version that fails this share harmed, beyond what stable would have; and how many were found. *β*: a version
with 1.5 times the errors reaches 100 %; empty where that is negligible.""",
    (),
)
SLOW: Final = Topic(
    "Faults that grow",
    """\
Releases in the closed loop with the chart's objective, and the watch of the version's first day after them. The service
fails 0.1 % of its requests, or what a line says. *Equal*: equal versions that are rolled back, and alarms of the watch in a
day. *Found*: of the versions with the fault, and how many of these by the watch; before they fail eight times as much as
stable; then the multiple, and the time from the first weight on, median and nine of ten.""",
    (),
)
CLOSED: Final = Topic(
    "In a closed loop",
    """\
Whole releases in which the judge and the engine that ship move the traffic, the pods and the steps: 5, 25 and 50 %,
unless the world is about the bake, which is then reached from 50 %. *α*: an equal version is rolled back; *split
accused*: in how many of these the requests were said to go elsewhere than the route says. *β*: a version that is far too
bad gets through a step. *Found*: a version that turns bad is rolled back, the seconds from the first weight or, if it was
found there, from the beginning of the bake (which may be a minute before the fault), and the failed answers that it
gave.""",
    (),
)
