"""Commands that people paste: each names its namespace, and a shell reads it as it was meant."""

from sluice_core.kernel import commands


def test_a_command_names_its_namespace_and_is_quoted() -> None:
    assert commands.sluice("rollback", "digits", "--to", "a b", namespace="team") == (
        "kubectl sluice rollback digits --to 'a b' -n team"
    )


def test_a_text_is_filled_with_commands_about_a_model() -> None:
    text = commands.filled("{retry}, or kubectl get pods {n} of {name}", name="digits", namespace="team")
    assert text == "kubectl sluice retry digits -n team, or kubectl get pods -n team of digits"
