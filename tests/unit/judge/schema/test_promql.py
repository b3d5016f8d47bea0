"""Selectors of users: what they may ask for, and that nothing gets past what is added to them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.schema import promql
from sluice_judge.schema.objectives import FailureRatio

VALUES = {"revision": "digits-1a2b", "namespace": "shop", "name": "digits"}

TAKEN = (
    pytest.param('up{revision="{{revision}}"}', 'up{revision="digits-1a2b"', id="by revision"),
    pytest.param('up{pod=~"{{revision}}-.*"}', 'up{pod=~"digits-1a2b-.*"', id="by the names of pods"),
    pytest.param(
        'up{pod=~"{{revision}}-[a-z0-9]+(-[a-z0-9]+)?"}',
        'up{pod=~"digits-1a2b-[a-z0-9]+(-[a-z0-9]+)?"',
        id="by exactly the names of pods",
    ),
    pytest.param('up{by=~"{{namespace}}/{{revision}}"}', 'up{by=~"shop/digits-1a2b"', id="in front of it a name"),
    pytest.param('up{by="{{name}}@{{revision}}"}', "", id="a character that no name has"),
    pytest.param('up{by="{{name}}:{{revision}}:x"}', 'up{by="digits:digits-1a2b:x"', id="a part of a value"),
    pytest.param(
        'up { code !~ "5..|429", revision = "{{revision}}" , }',
        'up{code!~"5..|429",revision="digits-1a2b"',
        id="spaces, other matchers and a comma",
    ),
    pytest.param(
        r'up{path=~"/v1/.*\\.json",say="\"}",revision="{{revision}}"}',
        "",
        id="a brace in a string",
    ),
    pytest.param(
        r'up{path=~"/v1/.*\\.json",say="\" or up ",revision="{{revision}}"}',
        r'up{path=~"/v1/.*\\.json",say="\" or up ",revision="digits-1a2b"',
        id="escapes",
    ),
    pytest.param(
        '{__name__=~"ok_total|failed_total",revision="{{revision}}"}',
        '{__name__=~"ok_total|failed_total",revision="digits-1a2b"',
        id="two counters",
    ),
)


@pytest.mark.parametrize(("text", "want"), TAKEN)
def test_a_selector_of_one_version_is_asked_within_its_namespace(text: str, want: str) -> None:
    if not want:
        with pytest.raises(promql.InvalidSelector):
            promql.parsed(text)
        return
    assert str(promql.parsed(text).filled(VALUES).narrowed("namespace", "shop")) == f'{want},namespace="shop"}}'


FOREIGN = {
    "no revision": 'up{job="api"}',
    "no matcher": "up",
    "an empty one": "up{}",
    "every other revision": 'up{revision!="{{revision}}"}',
    "every other revision, by a pattern": 'up{revision!~"{{revision}}"}',
    "an alternative": 'up{revision=~"{{revision}}|.*"}',
    "an alternative in front": 'up{revision=~".*|{{revision}}"}',
    "an alternative in a group": 'up{revision=~"({{revision}}|.*)"}',
    "an alternative, quoted": r'up{revision=~"(\\Q)\\E{{revision}}\\Q(\\E|.*)"}',
    "an alternative, by its code": r'up{revision=~"{{revision}}\x7c.*"}',
    "optional": 'up{revision=~"({{revision}})?.*"}',
    "optional, without a group": 'up{revision=~"{{revision}}?"}',
    "as often as one likes": 'up{revision=~"{{revision}}*"}',
    "not at all": 'up{revision=~"{{revision}}{0}"}',
    "anything in front": 'up{revision=~".*{{revision}}"}',
    "in the name of a label": 'up{{{revision}}="a"}',
    "in a string of another matcher": r'up{a="b,revision=\"{{revision}}\""}',
    "in a comment": 'up{a="b"#{{revision}}\n}',
    "a comment behind": 'up{revision="{{revision}}"}#',
    "or within the braces": 'up{revision="{{revision}}" or revision!=""}',
    "or behind them": 'up{revision="{{revision}}"} or up{a="{{revision}}"}',
    "or vector": 'up{revision="{{revision}}"} or vector(1)',
    "a function": 'rate(up{revision="{{revision}}"}[1m])',
    "label_replace": 'label_replace(up{revision="{{revision}}"},"a","b","c","d")',
    "a subquery": 'up{revision="{{revision}}"}[5m:1m]',
    "an offset": 'up{revision="{{revision}}"} offset 1d',
    "a moment": 'up{revision="{{revision}}"} @ 1',
    "every name": '{__name__=~".+",revision="{{revision}}"}',
    "a string that does not end": 'up{revision="{{revision}}"',
    "a string that ends later": 'up{revision="{{revision}}}',
    "quotes that hide": "up{a='\"',revision=\"{{revision}}\",b='\"'}",
    "a raw string": 'up{a=`"`,revision="{{revision}}",b=`"`}',
    "a quoted label": '{"up","revision"="{{revision}}"}',
    "another placeholder": 'up{a="{{secret}}",revision="{{revision}}"}',
    "a line break behind": 'up{revision="{{revision}}"}\n',
    "a line break in a string": 'up{a="\n",revision="{{revision}}"}',
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=list(FOREIGN))
def test_whatever_may_select_others_is_refused(text: str) -> None:
    with pytest.raises(promql.InvalidSelector, match="must"):
        promql.parsed(text)


PIECES = st.sampled_from(
    [
        *(
            '"',
            "\\",
            "{",
            "}",
            ",",
            "=",
            "=~",
            "!=",
            "|",
            "(",
            ")",
            " ",
            "\n",
            "#",
            "'",
            "`",
            "-",
            ".*",
            "or",
            "a",
            "up",
        ),
        *("{{revision}}", "{{name}}", 'revision="{{revision}}"', 'pod=~"{{revision}}-', '"x"', "up{", '__name__=~"a"'),
    ]
)
MATCHER = re.compile(r'([a-zA-Z_]\w*)(=~|!~|!=|=)"((?:[^"\\\n]|\\.)*)"')


@given(st.lists(PIECES, max_size=14).map("".join), st.booleans())
def test_what_is_asked_has_our_matcher_beside_all_others(pieces: str, framed: bool) -> None:
    """Whatever is taken, Prometheus reads one list of matchers that must all hold, and ours is one of them."""
    text = f'up{{revision="{{{{revision}}}}",{pieces}}}' if framed else pieces
    try:
        asked = str(promql.parsed(text).filled(VALUES).narrowed("namespace", "shop"))
    except promql.InvalidSelector:
        return
    name, _, rest = asked.partition("{")
    assert re.fullmatch(r"[a-zA-Z_:][\w:]*|", name)
    found, position = [], 0
    while match := MATCHER.match(rest, position):
        found.append(match.groups())
        position = match.end() + (rest[match.end()] == ",")
    assert rest[position:] == "}"
    assert found[-1] == ("namespace", "=", "shop")
    of_version = [value for _, operator, value in found if operator in ("=", "=~") and "digits-1a2b" in value]
    assert any("|" not in value for value in of_version)


def test_the_api_server_checks_the_same_grammar() -> None:
    for field in ("total", "failures", "successes"):
        schema = FailureRatio.model_json_schema()["properties"][field]["anyOf"][0]
        rules = [each["rule"] for each in schema["x-kubernetes-validations"]]
        assert rules == [f"self.matches(r'{each}')" for each in (promql.SELECTOR, promql.OF_ONE_REVISION)]
    for pattern in (promql.SELECTOR, promql.OF_ONE_REVISION):
        assert "'" not in pattern, "it would end the string"
        assert not re.search(r"\(\?[^:]|\\[1-9]", pattern), "nothing that RE2 does not have"
